//! Captures as input of the binaries: `tickdeck-sim play` and `tickdeck-book offline`.
//! (`tickdeck-journal replay` has its own among its tests.)

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tickdeck_wire::binaryfile::Messages;
use tickdeck_wire::moldudp64::{Packet, PacketBuilder, PacketKind, Session, heartbeat};
use tickdeck_worker::capture::{CapturedPacket, Interface, PcapngWriter};

const SIM: &str = env!("CARGO_BIN_EXE_tickdeck-sim");
const BOOK: &str = env!("CARGO_BIN_EXE_tickdeck-book");
const LIMIT: Duration = Duration::from_secs(60);
const LINE_A: &str = "239.1.2.3:31001";
const LINE_B: &str = "239.1.2.4:31001";

/// The same day as a BinaryFILE and as captures: books built from either are the same, whatever
/// order the packets came in and however often.
#[test]
fn books_of_a_capture_are_those_of_the_file() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (file, messages) = generated(dir.path());
    let wanted = books(&file, &[]);
    let half = messages.len() / 2;
    let capture = dir.path().join("both.pcapng");
    write_capture(
        &capture,
        &[
            (LINE_B, &messages[..half], 1),
            (LINE_A, &messages[half..], half as u64 + 1),
            (LINE_A, &messages[..half], 1),
            (LINE_A, &messages[half - 7..half + 3], half as u64 - 6),
        ],
    );
    assert_eq!(books(&capture, &["--destination", LINE_A]), wanted);
    let packed = dir.path().join("packed");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&fs::read(&capture).expect("reads"))
        .expect("memory");
    fs::write(&packed, gzip.finish().expect("memory")).expect("writes");
    assert_eq!(books(&packed, &["--destination", LINE_A]), wanted);
    // Without a choice the first destination counts, of which only half the day is there.
    let first = books(&capture, &[]);
    assert_eq!(first["final"]["messages"], half as u64);
}

/// What cannot be played is refused with what is there: no such destination, no messages at all, a
/// destination of a file that has none, a capture that ends inside a frame.
#[test]
fn impossible_inputs_are_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (file, messages) = generated(dir.path());
    let capture = dir.path().join("day.pcapng");
    write_capture(&capture, &[(LINE_A, &messages[..20], 1)]);
    let cut = dir.path().join("cut.pcapng");
    let whole = fs::read(&capture).expect("reads");
    fs::write(&cut, &whole[..whole.len() - 9]).expect("writes");
    let empty = dir.path().join("empty.pcapng");
    write_capture(&empty, &[]);
    let cases: [(&Path, &[&str], i32, &str); 4] = [
        (
            &capture,
            &["--destination", LINE_B],
            78,
            "224.0.0.251:5353, 239.1.2.3:31001",
        ),
        (&empty, &[], 78, "it holds no MoldUDP64 messages"),
        (
            &file,
            &["--destination", LINE_A],
            78,
            "is no pcap or pcapng",
        ),
        (&cut, &[], 76, "the file ends inside a frame behind frame"),
    ];
    for (input, extra, code, words) in cases {
        for output in [offline(input, extra), play_in_vain(input, extra)] {
            let log = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{log}");
            assert!(log.contains(words), "{log}");
        }
    }
}

/// The sim plays the messages of a capture as a session of its own, from sequence 1, in order.
#[test]
fn the_sim_plays_a_capture() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (_, messages) = generated(dir.path());
    let capture = dir.path().join("day.pcapng");
    write_capture(
        &capture,
        &[
            (LINE_A, &messages[40..80], 141),
            (LINE_A, &messages[..40], 101),
            (LINE_A, &messages[30..50], 131),
        ],
    );
    assert_eq!(played(&capture), messages[..80]);
}

/// A pipe is read once, as an ITCH file; its first bytes are not lost to the look for a capture.
#[test]
fn a_pipe_is_an_itch_file() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (file, messages) = generated(dir.path());
    let target = "239.192.0.1:9".parse().expect("an address");
    let mut command = play(Path::new("/dev/stdin"), &[], target);
    let mut child = Killed(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tickdeck-sim starts"),
    );
    let mut stdin = child.0.stdin.take().expect("a pipe");
    stdin
        .write_all(&fs::read(&file).expect("reads"))
        .expect("writes");
    drop(stdin);
    let mut ready = String::new();
    let stdout = child.0.stdout.take().expect("a pipe");
    BufReader::new(stdout)
        .read_line(&mut ready)
        .expect("a line");
    let ready: Value = serde_json::from_str(&ready).expect("JSON");
    assert_eq!(ready["messages"], messages.len());
}

/// Captures of an exchange, where they stand beside the checkout, are played and built as they are.
#[test]
fn real_captures() {
    let data =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/itch50/packets");
    if !data.is_dir() {
        println!("skipped: {} is absent", data.display());
        return;
    }
    let mut count = 0;
    for entry in fs::read_dir(&data).expect("lists") {
        let path = entry.expect("lists").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "pcap")
        {
            let messages = played(&path);
            assert!(!messages.is_empty(), "{}", path.display());
            let built = books(&path, &[]);
            assert_eq!(
                built["final"]["messages"],
                messages.len(),
                "{}",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count > 0, "{} holds captures", data.display());
}

/// A small generated day: its file and its messages.
fn generated(dir: &Path) -> (PathBuf, Vec<Vec<u8>>) {
    let file = dir.join("day.itch");
    let status = Command::new(SIM)
        .args([
            "generate",
            "--messages",
            "400",
            "--instruments",
            "3",
            "--out",
        ])
        .arg(&file)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("tickdeck-sim starts").success());
    let bytes = fs::read(&file).expect("reads");
    let messages = Messages::new(&bytes)
        .map(|message| message.expect("a whole file").to_vec())
        .collect();
    (file, messages)
}

/// Writes messages, beginning at a sequence, in packets of five to a destination; other traffic
/// goes around them.
fn write_capture(path: &Path, parts: &[(&str, &[Vec<u8>], u64)]) {
    let session = Session(*b"CAPTURED01");
    let interface = Interface {
        name: "A".to_owned(),
        description: String::new(),
    };
    let file = BufWriter::new(fs::File::create(path).expect("creates"));
    let mut writer = PcapngWriter::new(file, &[interface], "").expect("writes");
    let mut at_ns = 1_700_000_000_000_000_000;
    let mut write = |destination: &str, payload: &[u8]| {
        at_ns += 1_000;
        let packet = CapturedPacket {
            interface: 0,
            at_ns,
            source: "10.0.0.1:4000".parse().expect("an address"),
            destination: destination.parse().expect("an address"),
            payload,
            is_truncated: false,
            comment: None,
        };
        writer.packet(&packet).expect("writes");
    };
    write(LINE_A, &heartbeat(session, 1));
    let mut builder = PacketBuilder::new(session, 1400);
    for (destination, messages, first) in parts {
        for (index, five) in (0_u64..).zip(messages.chunks(5)) {
            builder.begin(first + 5 * index);
            assert!(five.iter().all(|message| builder.push(message)));
            write(destination, builder.finish());
        }
        write("224.0.0.251:5353", b"who is there?");
    }
    writer.finish().expect("writes");
}

fn offline(input: &Path, extra: &[&str]) -> Output {
    let mut command = Command::new(BOOK);
    command.args(["offline", "--json", "--input"]).arg(input);
    command.args(extra).output().expect("tickdeck-book starts")
}

fn books(input: &Path, extra: &[&str]) -> Value {
    let output = offline(input, extra);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {log}", input.display());
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn play(input: &Path, extra: &[&str], target: SocketAddr) -> Command {
    let mut command = Command::new(SIM);
    command.args([
        "play",
        "--exit-after-end-ms",
        "0",
        "--rate",
        "max",
        "--ttl",
        "0",
    ]);
    command.args(["--line", &format!("A={target}")]);
    command.arg("--input").arg(input).args(extra);
    command
}

fn play_in_vain(input: &Path, extra: &[&str]) -> Output {
    let target = "239.192.0.1:9".parse().expect("an address");
    play(input, extra, target)
        .output()
        .expect("tickdeck-sim starts")
}

/// The messages that the sim sends for an input, in order of their sequence from 1.
fn played(input: &Path) -> Vec<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
    let group = Ipv4Addr::new(239, 192, (std::process::id() % 256) as u8, 77);
    socket
        .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
        .expect("joins");
    socket.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let port = socket.local_addr().expect("an address").port();
    let target = SocketAddrV4::new(group, port).into();
    let child = play(input, &[], target).stdout(Stdio::null()).spawn();
    let _child = Killed(child.expect("tickdeck-sim starts"));
    let (mut messages, mut bytes) = (Vec::new(), vec![0; 2048]);
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < LIMIT, "the session ends");
        let length = socket.recv(&mut bytes).expect("the sim sends");
        let packet = Packet::parse(&bytes[..length]).expect("MoldUDP64");
        if packet.kind() == PacketKind::EndOfSession {
            return messages;
        }
        if packet.count() > 0 {
            assert_eq!(packet.first_sequence(), messages.len() as u64 + 1);
            messages.extend(packet.messages().map(<[u8]>::to_vec));
        }
    }
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
