//! The product's own subscribers at the product's own exporter: over TLS with keys, dialled and
//! dialling, through rotations; and where no secret may be found.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_testbed::promised;

use crate::papers::{Papers, acked, free_port, hex, subscriber, write_secret};
use crate::peer::{Copy, Peer, Said, Socket as _, dial};
use crate::plant::{Exporter, KEY, Plant, wait_until};

fn tls_exporter(plant: &Plant, papers: &Papers, settings: Value) -> (Exporter, u16) {
    plant.export_on_tcp(merged(
        json!({"tls_cert": papers.arg("server.pem"), "tls_key": papers.arg("server.key")}),
        &settings,
    ))
}

fn merged(mut base: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().expect("an object") {
        base[key] = value.clone();
    }
    base
}

fn dialled(papers: &Papers, port: u16) -> Vec<String> {
    let endpoint = format!("localhost:{port}");
    let (ca, key) = (papers.arg("ca.pem"), papers.arg("key"));
    ["--connect", &endpoint, "--tls-ca", &ca, "--key", &key]
        .map(str::to_owned)
        .to_vec()
}

/// X15 over TLS with keys: the subscriber is killed again and again while records come; everything
/// is in its copy, and the exporter knows what is safe there.
#[test]
fn subscriber_over_tls_is_killed_and_misses_nothing() {
    let mut plant = Plant::new();
    let papers = Papers::new(&plant);
    let (mut exporter, port) = tls_exporter(&plant, &papers, json!({}));
    let arguments = dialled(&papers, port);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for round in 0..6 {
        plant.append(3_000, 100);
        let running = subscriber(&plant, &arguments);
        // Killed in the middle of a copy, except where it is left to come to an end.
        let goal = if round % 2 == 0 {
            acked(&plant) + 1
        } else {
            plant.durable()
        };
        wait_until("acknowledged", || acked(&plant) >= goal);
        drop(running);
    }
    let running = subscriber(&plant, &arguments);
    let last = plant.durable();
    wait_until("all is acknowledged", || acked(&plant) == last);
    wait_until("the exporter knows", || {
        exporter.rows().iter().any(|row| row["acked_seq"] == last)
    });
    drop(running);
    assert_eq!(copied(&plant), last);
}

/// Sequences in the copy, which are 1 and on without a hole; each file's frames are whole.
fn copied(plant: &Plant) -> u64 {
    use tickdeck_export::frame::{Decoder, MAX_PAYLOAD};
    use tickdeck_export::message::Message;
    let mut files: Vec<PathBuf> = fs::read_dir(plant.path("copy"))
        .expect("lists")
        .map(|entry| entry.expect("lists").path())
        .collect();
    files.sort();
    let mut decoder = Decoder::new(MAX_PAYLOAD);
    let mut end = 0;
    for file in files {
        decoder.feed(&fs::read(file).expect("reads"));
        while let Some(frame) = decoder.next().expect("whole frames") {
            let Message::Data(data) = Message::parse(&frame).expect("a message") else {
                panic!("no gap was made");
            };
            let count = u32::from_le_bytes(data.block[24..28].try_into().expect("four"));
            // A connection may begin inside a block.
            assert!(data.base_seq <= end + 1, "{} after {end}", data.base_seq);
            end = end.max(data.base_seq + u64::from(count) - 1);
        }
    }
    end
}

/// S04: two hundred begin TLS and say no more. Never more than 32 of them are inside the door, each is
/// gone in time, and the subscriber that is in misses nothing.
#[test]
fn half_open_sessions_stay_outside() {
    let mut plant = Plant::new();
    let papers = Papers::new(&plant);
    let (exporter, port) = tls_exporter(&plant, &papers, json!({}));
    let arguments = dialled(&papers, port);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let running = subscriber(&plant, &arguments);
    plant.append(100, 50);
    wait_until("acknowledged", || acked(&plant) == 100);
    let begun = Instant::now();
    let mut sockets = Vec::new();
    let mut most = 0;
    for n in 0..200 {
        let mut socket = dial(port, 0x0B00 + n).expect("connects");
        // A record of a ClientHello that does not come.
        if let Err(error) = socket.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3]) {
            // Turned away already.
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                "{error}"
            );
        }
        sockets.push(socket);
        most = most.max(exporter.stat("tcp_export_preauth"));
        if n % 10 == 0 {
            plant.append(10, 50);
        }
    }
    wait_until("the subscriber has all", || acked(&plant) == 300);
    for mut socket in sockets {
        socket.set_patience(Duration::from_secs(70));
        most = most.max(exporter.stat("tcp_export_preauth"));
        let mut bytes = Vec::new();
        match socket.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    let lasted = begun.elapsed();
    // Three seconds for each; a loaded machine takes its time to begin them.
    assert!(lasted < promised(Duration::from_secs(8)), "{lasted:?}");
    assert!((1..=32).contains(&most), "{most} at a time");
    assert!(exporter.stat("tcp_export_subscriber_rejected_total") >= 200);
    plant.append(10, 50);
    wait_until("it goes on", || acked(&plant) == plant.durable());
    drop(running);
}

/// The exporter dials (connect mode): the collector proves itself by its certificate and its key, and
/// gets the records; one with a certificate of another name is told nothing, and it is audited.
#[test]
fn the_exporter_dials_whom_it_can_verify() {
    let mut plant = Plant::new();
    plant.append(500, 100);
    let papers = Papers::new(&plant);
    papers.issue("other", &["other.example"]);
    for (own, is_good) in [("other", false), ("a", true)] {
        let (cert, key) = (
            papers.arg(&format!("{own}.pem")),
            papers.arg(&format!("{own}.key")),
        );
        let hmac = papers.arg("key");
        let port = free_port();
        let place = format!("127.0.0.1:{port}");
        let arguments = [
            "--listen",
            &place,
            "--tls-cert",
            &cert,
            "--tls-key",
            &key,
            "--key",
            &hmac,
        ];
        let running = subscriber(&plant, &arguments);
        let dials = json!({
            "mode": "connect", "collectors": [format!("localhost:{port}")],
            "auth_token": plant.path("keys"), "tls_client_ca": papers.arg("ca.pem"),
            "reconnect_backoff_ms": 1,
        });
        let exporter = plant.export(dials, json!({}));
        if is_good {
            wait_until("the collector has all", || acked(&plant) == plant.durable());
        } else {
            let told = "only valid for DnsName(\\\"other.example";
            wait_until("it is audited", || {
                exporter.log_text().matches(told).count() >= 2
            });
            assert_eq!(acked(&plant), 0);
        }
        drop(exporter);
        drop(running);
    }
}

/// D32: a key is rotated by SIGHUP and by order. Who is inside stays; while both keys are there both
/// are good; then the old one is denied, with an audit line.
#[test]
fn keys_rotate_without_a_drop() {
    let mut plant = Plant::new();
    plant.append(100, 50);
    let (mut exporter, port) = plant.export_on_tcp(json!({}));
    let mut copy = Copy::default();
    let mut inside = Peer::on_tcp(port, 1);
    assert!(matches!(
        inside.resume(Some("a"), &mut copy),
        Said::SubOk(_)
    ));
    let next = "5a".repeat(31) + "5b";
    let knock =
        |name: &str, host| matches!(Peer::on_tcp(port, host).prove(Some(name)), Said::AuthOk(_));
    let keys = plant.path("keys");

    write_secret(&keys, &format!("b {next} {}\n", hex(&KEY)));
    exporter.signal("HUP");
    // `c` lost its line, so its refusal shows that the new file is in force.
    let mut host = 2;
    wait_until("the file is read", || {
        host += 1;
        !knock("c", host)
    });
    assert!(knock("b", 2), "the previous key is good");

    write_secret(&keys, &format!("b {next}\n"));
    exporter.ask("export.reload");
    wait_until("the old key is refused", || {
        host += 1;
        !knock("b", host)
    });
    // Audit lines are rate-limited, so there may have to be another one.
    wait_until("it is audited", || {
        host += 1;
        assert!(!knock("b", host));
        exporter.log_text().contains("wrong MAC of b")
    });

    // A file that others can read changes nothing, and is told.
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).expect("changes mode");
    exporter.ask("export.reload");
    wait_until("it is told", || exporter.log_text().contains("chmod 600"));

    plant.append(100, 50);
    inside.follow_to(plant.durable(), &mut copy);
    assert_eq!((copy.end, copy.again), (200, 0));
}

/// D31: the certificate is replaced while a subscriber is inside: it stays, and the next one meets the
/// new certificate.
#[test]
fn certificates_are_replaced_without_a_drop() {
    let mut plant = Plant::new();
    plant.append(100, 50);
    let papers = Papers::new(&plant);
    let (mut exporter, port) = tls_exporter(&plant, &papers, json!({}));
    let arguments = dialled(&papers, port);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let running = subscriber(&plant, &arguments);
    wait_until("acknowledged", || acked(&plant) == 100);
    let since = exporter.rows()[0]["since_ns"].clone();
    let left = exporter.stat("tcp_export_cert_expires_s");
    assert!(left > 1_000_000);

    papers.issue("server", &["another.example"]);
    exporter.ask("export.reload");
    let script = PYTHON.replace("@LAST@", "1");
    // One that came before the new certificate ends with its record; one behind it tries for ever.
    wait_until("the next one meets the new name", || {
        let mut python = python(&plant, &papers, port, &script);
        let mut child = python.stderr(Stdio::piped()).spawn().expect("runs");
        let told = BufReader::new(child.stderr.take().expect("is piped")).lines();
        let is_met = told
            .map(|line| line.expect("text"))
            .any(|line| line.contains("ostname mismatch"));
        child.kill().expect("kills");
        child.wait().expect("ends");
        is_met
    });
    plant.append(100, 50);
    wait_until("acknowledged", || acked(&plant) == 200);
    assert_eq!(exporter.rows()[0]["since_ns"], since, "the same connection");
    drop(running);
}

/// The Python subscriber at the real exporter, over TLS, bound to the session by its own way to the
/// exporter value.
#[test]
fn the_python_subscriber_gets_in_too() {
    let mut plant = Plant::new();
    plant.append(2_000, 50);
    let papers = Papers::new(&plant);
    let (_exporter, port) = tls_exporter(&plant, &papers, json!({}));
    let mut all = python(&plant, &papers, port, &PYTHON.replace("@LAST@", "2000"));
    let output = all.output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        text.trim(),
        "1 2000 2000",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A wrong key is denied there as well.
    papers.secret("key", &format!("a {}\n", "5a".repeat(31) + "5b"));
    let mut denied = python(&plant, &papers, port, &PYTHON.replace("@LAST@", "1"));
    let output = denied.output().expect("runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("DeniedError"), "{text}");
}

const PYTHON: &str = r#"
import asyncio, logging, sys
from tickdeck_subscriber import Subscriber
logging.basicConfig(level=logging.WARNING)
port, ca, key, state = sys.argv[1:]
async def main():
    seqs = []
    options = dict(state=state, client="a", tls_ca=ca, key_file=key)
    async with asyncio.timeout(100), Subscriber(f"localhost:{port}", **options) as subscriber:
        async for item in subscriber:
            seqs.append(item.seq)
            if item.seq >= @LAST@:
                break
    print(seqs[0], seqs[-1], len(seqs))
asyncio.run(main())
"#;

fn python(plant: &Plant, papers: &Papers, port: u16, script: &str) -> Command {
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../console");
    let mut python = Command::new("python3");
    python
        .args(["-c", script, &port.to_string()])
        .args([papers.arg("ca.pem"), papers.arg("key")])
        .arg(plant.path("python-state"))
        .env("PYTHONPATH", console);
    python
}

/// S07: the canaries (keys and TLS keys) are in no log, argument, environment, stats file and control
/// answer, after good and bad visits.
#[test]
fn secrets_are_found_nowhere() {
    let mut plant = Plant::new();
    plant.append(100, 50);
    let papers = Papers::new(&plant);
    let (mut exporter, port) = tls_exporter(&plant, &papers, json!({}));
    let arguments = dialled(&papers, port);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let running = subscriber(&plant, &arguments);
    wait_until("acknowledged", || acked(&plant) == 100);
    assert_ne!(
        Peer::on_tcp(port, 1).prove(Some("a")),
        Said::AuthOk(None),
        "clear text"
    );
    exporter.ask("export.reload");
    let mut places = vec![
        ("log of the exporter", exporter.log_text().into_bytes()),
        (
            "log of the subscriber",
            fs::read(plant.path("subscriber.log")).expect("reads"),
        ),
        ("status", exporter.ask("status").to_string().into_bytes()),
        (
            "subscribers",
            exporter.ask("export.subscribers").to_string().into_bytes(),
        ),
        ("position", fs::read(plant.path("state")).expect("reads")),
    ];
    for entry in fs::read_dir(plant.path("T-export")).expect("lists") {
        let path = entry.expect("lists").path();
        if path.is_file() {
            places.push(("runtime directory", fs::read(path).expect("reads")));
        }
    }
    for pid in [exporter.pid(), running.0.id()] {
        for file in ["cmdline", "environ"] {
            let path = format!("/proc/{pid}/{file}");
            places.push(("process", fs::read(path).expect("reads")));
        }
    }
    let pem = fs::read_to_string(papers.arg("server.key")).expect("reads");
    let line = pem.lines().nth(1).expect("a line").to_owned();
    let canaries = [KEY.to_vec(), hex(&KEY).into_bytes(), line.into_bytes()];
    for (place, bytes) in &places {
        assert!(!bytes.is_empty() || *place != "log of the exporter");
        for canary in &canaries {
            let found = bytes.windows(canary.len()).any(|window| window == canary);
            assert!(!found, "a secret in: {place}");
        }
    }
}

/// What `export --check` says of the files that a spec names.
fn checked(plant: &Plant, papers: &Papers, files: &[(&str, &str)]) -> Vec<(String, String, bool)> {
    let mut settings = json!({"enabled": true, "addr": "127.0.0.1:0"});
    for (setting, file) in files {
        settings[setting] = papers.arg(file).into();
    }
    let spec = plant.export_spec(&[settings]);
    let output = Command::new(env!("CARGO_BIN_EXE_tickdeck-journal"))
        .args(["export", "--check", "--spec"])
        .arg(spec)
        .output()
        .expect("runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    for secret in ["a.key", "server.key", "key"] {
        let hidden = fs::read_to_string(papers.dir.join(secret)).expect("reads");
        let line = hidden.lines().nth(usize::from(hidden.lines().count() > 1));
        let line = line.expect("a line");
        assert!(!text.contains(line), "{secret} is shown");
    }
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let rows = answer["files"].as_array().expect("rows").iter();
    rows.map(|row| {
        let error = row["error"].as_str().unwrap_or_default().to_owned();
        let setting = row["setting"].as_str().expect("a name").to_owned();
        (setting, error, row["expires_s"].is_i64())
    })
    .collect()
}

/// Before anything is started: each file is there, ours, private where it is a secret, of the right
/// kind; the key is that of the certificate, and no certificate has expired.
#[test]
fn files_are_checked_before_a_start() {
    let plant = Plant::new();
    let papers = Papers::new(&plant);
    let good = [
        ("auth_token", "key"),
        ("tls_cert", "server.pem"),
        ("tls_key", "server.key"),
        ("tls_client_ca", "ca.pem"),
    ];
    let rows = checked(&plant, &papers, &good);
    let named: Vec<(&str, &str, bool)> = rows
        .iter()
        .map(|(setting, error, expires)| (setting.as_str(), error.as_str(), *expires))
        .collect();
    assert_eq!(
        named,
        [
            ("auth_token", "", false),
            ("tls_cert", "", true),
            ("tls_key", "", false),
            ("tls_client_ca", "", true),
        ]
    );
    papers.issue_at("old", &["localhost"], (2020, 2021));
    papers.issue_at("early", &["localhost"], (4000, 4001));
    papers.secret(
        "open.key",
        &fs::read_to_string(papers.dir.join("server.key")).expect("reads"),
    );
    fs::set_permissions(
        papers.dir.join("open.key"),
        fs::Permissions::from_mode(0o640),
    )
    .expect("changes mode");
    for (setting, file, words) in [
        ("auth_token", "nowhere", "No such file"),
        ("auth_token", "open.key", "mode 0640"),
        ("auth_token", "server.key", "line 1"),
        ("tls_cert", "nowhere", "No such file"),
        ("tls_cert", "key", "no certificate in it"),
        ("tls_cert", "old.pem", "expired"),
        ("tls_cert", "early.pem", "not valid before"),
        ("tls_key", "nowhere", "No such file"),
        ("tls_key", "open.key", "chmod 600"),
        ("tls_key", "key", "no PEM private key"),
        ("tls_key", "a.key", "not the key of that certificate"),
        ("tls_client_ca", "nowhere", "No such file"),
        ("tls_client_ca", "server.key", "no certificate in it"),
        ("tls_client_ca", "old.pem", "expired"),
    ] {
        let files = good.map(|(name, usual)| (name, if name == setting { file } else { usual }));
        for (name, error, _) in checked(&plant, &papers, &files) {
            if name == setting {
                assert!(error.contains(words), "{setting} = {file}: {error:?}");
                assert!(
                    error.contains(file),
                    "{setting} = {file} is not named: {error:?}"
                );
            } else {
                assert_eq!(error, "", "{name} beside {setting} = {file}");
            }
        }
    }
}
