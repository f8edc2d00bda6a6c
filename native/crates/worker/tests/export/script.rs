//! `export --json`: what a script reads on standard output.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use serde_json::{Value, json};

use crate::peer::{Copy, Peer};
use crate::plant::{PATIENCE, Plant, wait_until};

/// An exporter whose standard output is read; killed when dropped.
struct Scripted {
    child: Child,
    log: PathBuf,
}

impl Scripted {
    fn start(plant: &Plant, place: Value, out: impl Into<Stdio>) -> Self {
        let spec = plant.export_spec(&[json!({"enabled": true}), place]);
        let log = plant.path("T-export").join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_tickdeck-journal"))
            .args(["export", "--ephemeral", "--json", "--spec"])
            .arg(&spec)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(fs::File::create(&log).expect("creates"))
            .spawn()
            .expect("runs");
        Self { child, log }
    }

    /// Its lines, as they come; they end with its standard output.
    fn lines(&mut self) -> Receiver<String> {
        let out = self.child.stdout.take().expect("is a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                if sender.send(line.expect("reads")).is_err() {
                    return;
                }
            }
        });
        lines
    }

    fn log_text(&self) -> String {
        fs::read_to_string(&self.log).expect("reads")
    }

    /// Asks it to stop and gives its exit code.
    fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("runs").success());
        self.child.wait().expect("waits").code()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if self.child.try_wait().expect("waits").is_none() {
            self.child.kill().expect("kills");
            self.child.wait().expect("waits");
        }
    }
}

fn next(lines: &Receiver<String>) -> Option<Value> {
    let line = match lines.recv_timeout(PATIENCE) {
        Ok(line) => line,
        Err(RecvTimeoutError::Disconnected) => return None,
        Err(RecvTimeoutError::Timeout) => panic!("no line, and no end of them"),
    };
    Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
}

/// The first line says where to connect, the last what was sent and how it ended; nothing else is on
/// standard output.
#[test]
fn a_script_learns_the_port_and_the_end() {
    let mut plant = Plant::new();
    plant.append(50, 100);
    let place = json!({"addr": "127.0.0.1:0", "auth_token": plant.path("keys")});
    let mut exporter = Scripted::start(&plant, place, Stdio::piped());
    let lines = exporter.lines();
    let ready = next(&lines).unwrap_or_else(|| panic!("{}", exporter.log_text()));
    let names = json!({
        "ready": true, "worker": "T-export", "exchange": "T", "mode": "listen",
        "journal": plant.journal(), "collectors": [], "listen": ready["listen"],
        "control": plant.path("T-export").join("control.sock"),
    });
    assert_eq!(ready, names);
    let listen = ready["listen"].as_str().expect("an address");
    let port = listen.strip_prefix("127.0.0.1:").expect("loopback");
    let mut peer = Peer::on_tcp(port.parse().expect("a port"), 1);
    let mut copy = Copy::default();
    peer.resume(Some("a"), &mut copy);
    peer.follow_to(plant.durable(), &mut copy);
    assert_eq!(exporter.stop(), Some(0), "{}", exporter.log_text());
    let ended = next(&lines).expect("a last line");
    let told = ["ended", "code", "error", "accepted", "rejected", "dropped"];
    assert_eq!(
        told.map(|name| ended[name].clone()),
        [
            json!(true),
            json!(0),
            Value::Null,
            json!(1),
            json!(0),
            json!(0)
        ],
        "{ended}"
    );
    let sent_bytes = ended["sent_bytes"].as_u64();
    assert!(sent_bytes > Some(50 * 100), "{ended}");
    assert_eq!(next(&lines), None);
}

/// Who dials says whom; what fails before it serves has no line at all.
#[test]
fn a_script_learns_who_is_dialled() {
    let plant = Plant::new();
    let collector = format!("unix:{}", plant.path("collector").display());
    let place = json!({"mode": "connect", "collectors": [collector]});
    let mut exporter = Scripted::start(&plant, place, Stdio::piped());
    let lines = exporter.lines();
    let ready = next(&lines).unwrap_or_else(|| panic!("{}", exporter.log_text()));
    assert_eq!(
        (&ready["mode"], &ready["listen"], &ready["collectors"]),
        (&json!("connect"), &Value::Null, &json!([collector]))
    );
    assert_eq!(exporter.stop(), Some(0), "{}", exporter.log_text());
    assert_eq!(next(&lines).expect("a last line")["accepted"], 0);

    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let addr = taken.local_addr().expect("has one").to_string();
    let place = json!({"addr": addr, "auth_token": plant.path("keys")});
    let mut exporter = Scripted::start(&plant, place, Stdio::piped());
    assert_eq!(next(&exporter.lines()), None);
    assert_eq!(exporter.child.wait().expect("waits").code(), Some(69));
}

/// Who asks for a check and does not wait for the answer causes no crash.
#[test]
fn a_check_without_a_reader_is_no_crash() {
    let plant = Plant::new();
    let addr = format!("unix:{}", plant.path("socket").display());
    let spec = plant.export_spec(&[json!({"enabled": true, "addr": addr})]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_tickdeck-journal"))
        .args(["export", "--check", "--spec"])
        .arg(&spec)
        .stdin(Stdio::null())
        .stdout(writer)
        .output()
        .expect("runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*told), (Some(0), ""));
}

/// A reader that is gone stops no export, and is told of in the log.
#[test]
fn nobody_need_read_the_lines() {
    let plant = Plant::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let socket = plant.path("socket");
    let place = json!({"addr": format!("unix:{}", socket.display())});
    let mut exporter = Scripted::start(&plant, place, writer);
    let is_told = "standard output takes no lines";
    wait_until("it says so", || exporter.log_text().contains(is_told));
    UnixStream::connect(&socket).expect("it serves");
    assert_eq!(exporter.stop(), Some(0), "{}", exporter.log_text());
    assert_eq!(exporter.log_text().matches(is_told).count(), 2);
}
