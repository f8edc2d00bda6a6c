//! `tickdeck-sim` as a process: what it sends on loopback multicast, what it answers, what it says.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_stats::reader::Reader;
use tickdeck_wire::binaryfile::Messages;
use tickdeck_wire::moldudp64::{Packet, PacketKind, Request, Session};

const SIM: &str = env!("CARGO_BIN_EXE_tickdeck-sim");
const SESSION: Session = Session(*b"TEST000001");
const PATIENCE: Duration = Duration::from_secs(60);

/// Proves that both lines carry exactly the messages of the file, in order, then the end.
#[test]
fn both_lines_carry_the_file() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("day.itch.gz");
    let expected = generate(&file, 5_000);
    let lines = [Line::join(1), Line::join(2)];
    let file = file.to_str().expect("a path in UTF-8");
    let mut sim = Sim::play(&["--input", file, "--exit-after-end-ms", "0"], &lines);
    assert_eq!(sim.ready["messages"], expected.len());
    for (received, next) in until_the_end(&lines) {
        assert_eq!(received.len(), expected.len());
        assert!(
            received.into_values().eq(expected.iter().cloned()),
            "the file's messages"
        );
        assert_eq!(
            next,
            expected.len() as u64 + 1,
            "the end carries the next sequence"
        );
    }
    assert_eq!(sim.exit_code(), 0);
}

/// Proves that a fault on both lines drops exactly its messages, that re-requests bring exactly
/// them, and that the numbers say so.
#[test]
fn dropped_messages_can_be_asked_for() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let lines = [Line::join(3), Line::join(4)];
    let fault = r#"{"fault":"drop","args":{"line":"AB","ranges":[[1000,1999],[3000,3000]]},
                    "lease_ms":60000}"#;
    let runtime = directory.path().to_str().expect("a path in UTF-8");
    let extra = [
        "--request-listen",
        "127.0.0.1:0",
        "--fault",
        fault,
        "--runtime-dir",
        runtime,
    ];
    let mut sim = Sim::play(&[&DAY[..], &extra].concat(), &lines);
    let missing = |sequence: u64| (1_000..2_000).contains(&sequence) || sequence == 3_000;
    let messages = sim.ready["messages"].as_u64().expect("a number");
    for (received, next) in until_the_end(&lines) {
        assert_eq!(next, messages + 1);
        assert!(
            received
                .keys()
                .copied()
                .eq((1..=messages).filter(|n| !missing(*n)))
        );
    }
    let recovered = sim.recover(1_000, 1_000);
    assert!(recovered.keys().copied().eq(1_000..2_000));
    let mut control = Control::connect(directory.path());
    let faults = control.call("fault.list", json!({}))["faults"].clone();
    assert!(faults[0]["hits"].as_u64() >= Some(252), "{faults}");
    control.call("drain", json!({}));
    assert_eq!(sim.exit_code(), 0);
    let stats = stats(directory.path());
    let value = |name, labels| stats.value(name, labels);
    for labels in ["line=A", "line=B"] {
        assert_eq!(value("sim_messages_dropped_total", labels), Some(1_001));
        assert!(value("sim_packets_dropped_total", labels) >= Some(124));
    }
    assert_eq!(value("sim_messages_sent_total", ""), Some(messages));
    assert_eq!(value("sim_request_messages_sent_total", ""), Some(1_000));
    assert_eq!(value("sim_state", ""), Some(2));
}

/// Proves that the sim waits for `play` with heartbeats, that a cut line is silent under its lease
/// while the other is not, and that each mistake is answered.
#[test]
fn it_waits_and_obeys() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let lines = [Line::join(5), Line::join(6)];
    let runtime = directory.path().to_str().expect("a path in UTF-8");
    let extra = [
        "--runtime-dir",
        runtime,
        "--wait",
        "--request-listen",
        "127.0.0.1:0",
    ];
    let mut sim = Sim::play(&[&DAY[..], &extra].concat(), &lines);
    assert_eq!(
        lines[0].packet(|packet| (packet.kind(), packet.next_sequence())),
        HEARTBEAT
    );
    assert_eq!(
        sim.ask(1, 1),
        None,
        "nothing was sent, nothing is given out"
    );
    let mut control = Control::connect(directory.path());
    assert_eq!(control.call("status", json!({}))["state"], "waiting");
    assert_eq!(
        control.refusal("fault.arm", json!({"fault": "cut"})),
        "INVALID_ARGS"
    );
    assert_eq!(
        control.refusal("fault.clear", json!({"fault_id": 9})),
        "NOT_FOUND"
    );
    assert_eq!(control.refusal("melt", json!({})), "UNKNOWN_OP");
    let cut = json!({"fault": "cut", "args": {"line": "B"}, "lease_ms": 60_000});
    let id = control.call("fault.arm", cut)["fault_id"].clone();
    control.call("fault.renew", json!({"fault_id": id, "lease_ms": 90_000}));
    lines[1].drain();
    assert_eq!(control.call("play", json!({}))["state"], "playing");
    assert_eq!(control.refusal("play", json!({})), "WRONG_STATE");
    let messages = sim.ready["messages"].as_u64().expect("a number");
    assert_eq!(lines[0].until_the_end().0.len() as u64, messages);
    assert_eq!(
        control.call("status", json!({}))["next_sequence"],
        messages + 1
    );
    assert_eq!(
        control.call("fault.clear", json!({"fault_id": id}))["cleared"],
        1
    );
    let (kind, next) = lines[1].packet(|packet| (packet.kind(), packet.next_sequence()));
    assert_eq!(
        (kind, next),
        (PacketKind::EndOfSession, messages + 1),
        "line B was silent"
    );
    let stop = json!({"fault": "request_stop", "lease_ms": 60_000});
    control.call("fault.arm", stop);
    assert_eq!(sim.ask(1, 1), None, "the server was told not to answer");
    control.call("fault.clear", json!({}));
    assert_eq!(sim.recover(1, 3).len(), 3);
    assert_eq!(
        second_in(directory.path()),
        Some(125),
        "the runtime directory is taken"
    );
    sim.terminate();
    assert_eq!(sim.exit_code(), 0);
}

/// Proves that a file that is not what it should be ends with a message and the code for it.
#[test]
fn bad_input_ends_with_its_reason() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let cases: [(&str, &[u8], &str); 3] = [
        (
            "cut.itch",
            b"\x00\x0cS12345",
            "ends inside the message at byte 0",
        ),
        ("empty.itch", b"", "no messages"),
        ("broken.gz", b"\x1f\x8b\x08rubbish", "broken.gz"),
    ];
    for (name, bytes, reason) in cases {
        let file = directory.path().join(name);
        std::fs::write(&file, bytes).expect("write the input");
        let output = Command::new(SIM)
            .args(["play", "--line", "A=239.81.200.1:40001", "--input"])
            .arg(&file)
            .output()
            .expect("run");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{log}");
        assert!(log.contains(reason), "{log}");
    }
}

/// Proves that a file with a wide stock field is mended before it is played, and the log says so.
#[test]
fn wide_stock_fields_are_mended() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut wide = vec![0, 0, b'R'];
    wide.extend_from_slice(&[0; 10]);
    wide.extend_from_slice(b"TENLETTERSQN\0\0\0dNCZ PNN1N\0\0\0\0N");
    wide[1] = u8::try_from(wide.len() - 2).expect("a short message");
    let file = directory.path().join("wide.itch");
    std::fs::write(&file, &wide).expect("write the input");
    let line = Line::join(7);
    let output = Command::new(SIM)
        .args([
            "play",
            "--session",
            "TEST000001",
            "--exit-after-end-ms",
            "0",
            "--input",
        ])
        .arg(&file)
        .arg(format!("--line=A={}", line.target()))
        .output()
        .expect("run");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("were cut to 8"), "{log}");
    let (received, _) = line.until_the_end();
    assert_eq!(received[&1].len(), 39);
    assert_eq!(&received[&1][11..21], b"TENLETTEQN");
}

const DAY: [&str; 5] = ["--generate", "--messages", "5000", "--instruments", "5"];
const HEARTBEAT: (PacketKind, u64) = (PacketKind::Heartbeat, 1);

/// Messages by sequence number until the first end of session, and what that one carries.
type Received = (BTreeMap<u64, Vec<u8>>, u64);

/// Reads both lines at the same time, so that neither overflows its socket.
fn until_the_end(lines: &[Line; 2]) -> [Received; 2] {
    std::thread::scope(|scope| {
        let readers = lines
            .each_ref()
            .map(|line| scope.spawn(|| line.until_the_end()));
        readers.map(|reader| reader.join().expect("a whole session"))
    })
}

/// One line's receiver, on a group and port of its own.
struct Line {
    socket: UdpSocket,
    group: Ipv4Addr,
}

impl Line {
    fn join(number: u8) -> Self {
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let group = Ipv4Addr::new(239, 100 + number, high, low);
        let socket = UdpSocket::bind((group, 0)).expect("bind to the group");
        socket
            .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
            .expect("join");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        Self { socket, group }
    }

    fn target(&self) -> String {
        format!(
            "{}:{}",
            self.group,
            self.socket.local_addr().expect("bound").port()
        )
    }

    /// Reads one packet.
    fn packet<T>(&self, read: impl FnOnce(Packet<'_>) -> T) -> T {
        let mut datagram = [0; 2_048];
        let length = self.socket.recv(&mut datagram).expect("a packet in time");
        let packet = Packet::parse(&datagram[..length]).expect("a packet");
        assert_eq!(packet.session(), SESSION);
        read(packet)
    }

    fn until_the_end(&self) -> Received {
        let mut received = BTreeMap::new();
        loop {
            let end = self.packet(|packet| {
                for (sequence, message) in (packet.first_sequence()..).zip(packet.messages()) {
                    assert_eq!(received.insert(sequence, message.to_vec()), None, "twice");
                }
                (packet.kind() == PacketKind::EndOfSession).then(|| packet.next_sequence())
            });
            if let Some(next) = end {
                return (received, next);
            }
        }
    }

    /// Throws away what already arrived.
    fn drain(&self) {
        self.socket.set_nonblocking(true).expect("non-blocking");
        while self.socket.recv(&mut [0; 2_048]).is_ok() {}
        self.socket.set_nonblocking(false).expect("blocking");
    }
}

/// A running sim; killed when the test is done with it.
struct Sim {
    child: Child,
    ready: Value,
    _stdout: BufReader<ChildStdout>,
}

impl Sim {
    fn play(extra: &[&str], lines: &[Line; 2]) -> Self {
        let mut child = Command::new(SIM)
            .args([
                "play",
                "--session",
                "TEST000001",
                "--rate",
                "20000",
                "--heartbeat-ms",
                "20",
            ])
            .arg(format!("--line=A={}", lines[0].target()))
            .arg(format!("--line=B={}", lines[1].target()))
            .args(extra)
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the sim");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the ready line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(ready["ready"], true);
        Self {
            child,
            ready,
            _stdout: stdout,
        }
    }

    /// The messages of one answer, or `None` when there is none within a moment.
    fn ask(&self, first_sequence: u64, count: u16) -> Option<BTreeMap<u64, Vec<u8>>> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .expect("timeout");
        let server = self.ready["request_listen"].as_str().expect("an address");
        let request = Request {
            session: SESSION,
            first_sequence,
            count,
        };
        socket.send_to(&request.encode(), server).expect("ask");
        let mut datagram = [0; 2_048];
        let length = socket.recv(&mut datagram).ok()?;
        let packet = Packet::parse(&datagram[..length]).expect("a packet");
        let messages = packet.messages().map(<[u8]>::to_vec);
        Some((packet.first_sequence()..).zip(messages).collect())
    }

    /// Asks until the whole range has come.
    fn recover(&self, first: u64, count: u64) -> BTreeMap<u64, Vec<u8>> {
        let mut recovered = BTreeMap::new();
        let started = Instant::now();
        let mut next = first;
        while next < first + count {
            assert!(
                started.elapsed() < PATIENCE,
                "the server stopped answering at {next}"
            );
            let left = u16::try_from(first + count - next).expect("a small range");
            let Some(answer) = self.ask(next, left) else {
                continue;
            };
            next += answer.len() as u64;
            recovered.extend(answer);
        }
        recovered
    }

    fn terminate(&self) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(id).expect("not zero");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signal");
    }

    fn exit_code(&mut self) -> i32 {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code().expect("an exit, not a signal");
            }
            std::thread::yield_now();
        }
        panic!("the sim did not exit in time");
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // It may have ended already, which is what the tests want.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A connection to the control socket.
struct Control {
    stream: BufReader<UnixStream>,
    last_id: u64,
}

impl Control {
    fn connect(directory: &Path) -> Self {
        let stream = UnixStream::connect(directory.join("control.sock")).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let mut control = Self {
            stream: BufReader::new(stream),
            last_id: 0,
        };
        assert_eq!(control.line()["hello"], 1);
        control
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }

    fn answer(&mut self, op: &str, args: Value) -> Value {
        self.last_id += 1;
        let request = json!({"id": self.last_id.to_string(), "op": op, "args": args});
        writeln!(self.stream.get_mut(), "{request}").expect("ask");
        self.line()
    }

    fn call(&mut self, op: &str, args: Value) -> Value {
        let answer = self.answer(op, args);
        assert_eq!(answer["ok"], true, "{answer}");
        answer["result"].clone()
    }

    fn refusal(&mut self, op: &str, args: Value) -> String {
        let answer = self.answer(op, args);
        assert_eq!(answer["ok"], false, "{answer}");
        answer["error"]["code"].as_str().expect("a code").to_owned()
    }
}

/// Writes a day with the sim's own generator and reads its messages back.
fn generate(file: &Path, messages: u64) -> Vec<Vec<u8>> {
    let status = Command::new(SIM)
        .args([
            "generate",
            "--instruments",
            "5",
            "--seed",
            "7",
            "--json",
            "--messages",
        ])
        .arg(messages.to_string())
        .arg("--out")
        .arg(file)
        .stdout(Stdio::null())
        .status()
        .expect("generate");
    assert!(status.success());
    let packed = std::fs::File::open(file).expect("open the day");
    let mut bytes = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut bytes).expect("unpack");
    Messages::new(&bytes)
        .map(|message| message.expect("whole").to_vec())
        .collect()
}

/// The exit code of a second sim with the same runtime directory.
fn second_in(directory: &Path) -> Option<i32> {
    let status = Command::new(SIM)
        .args([
            "play",
            "--generate",
            "--messages",
            "1",
            "--instruments",
            "1",
        ])
        .args(["--line", "A=239.81.200.2:40002", "--runtime-dir"])
        .arg(directory)
        .stderr(Stdio::null())
        .status();
    status.expect("run").code()
}

fn stats(directory: &Path) -> Reader {
    let names = std::fs::read_dir(directory).expect("read the directory");
    let mut paths = names.map(|entry| entry.expect("entry").path());
    let path = paths.find(|path| path.extension().is_some_and(|extension| extension == "dat"));
    Reader::open(&path.expect("a stats file")).expect("read the stats file")
}
