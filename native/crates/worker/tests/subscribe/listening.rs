//! A subscriber that waits for its exporter: anybody may dial it, and only the right one is obeyed.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tickdeck_export::auth::Transport;
use tickdeck_export::authenticator::Method;
use tickdeck_export::message::{
    AuthOk, Data, ErrorCode, Hello, MAC_LEN, Message, Refused, Sentence, Start,
};

use tickdeck_testbed::promised;

use crate::provider::{LOG, Log, Provider};
use crate::support::{KEY, Place, command, position, subscribe, told, wait_for, write_secret};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("kills");
        self.0.wait().expect("waits");
    }
}

fn start(mut command: Command) -> Running {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Running(child.expect("runs"))
}

fn acked(place: &Place) -> u64 {
    position(&place.path("state")).map_or(0, |state| state["acked_seq"].as_u64().expect("a number"))
}

/// A connection, once the subscriber listens: its socket lies there a moment before it does.
fn connected(place: &Place) -> UnixStream {
    let mut socket = None;
    wait_for("the listening subscriber", || {
        match UnixStream::connect(place.path("socket")) {
            Ok(connected) => socket = Some(connected),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ),
                "{error}"
            ),
        }
        socket.is_some()
    });
    socket.expect("was waited for")
}

/// The true provider dials, and leaves once everything up to `last` is acknowledged.
fn dial(place: &Place, provider: &Provider, last: u64) {
    let socket = Arc::new(connected(place));
    let (serving, shared) = (provider.clone(), Arc::clone(&socket));
    let served = thread::spawn(move || {
        serving.serve(&*shared, Transport::Clear { is_loopback: true });
    });
    wait_for("the acknowledgement", || {
        provider.seen.lock().expect("lock").acks.last() == Some(&last)
    });
    socket.shutdown(Shutdown::Both).expect("shuts down");
    served.join().expect("ends");
}

/// Somebody dials, says this, and waits until the subscriber leaves.
fn say(place: &Place, name: &str, messages: &[Message<'_>]) {
    let mut socket = UnixStream::connect(place.path("socket"))
        .unwrap_or_else(|error| panic!("before {name}: {error}"));
    let limit = Some(Duration::from_secs(20));
    socket.set_read_timeout(limit).expect("sets");
    for message in messages {
        socket.write_all(&message.to_frame()).expect("writes");
    }
    let mut answer = Vec::new();
    socket
        .read_to_end(&mut answer)
        .unwrap_or_else(|error| panic!("{name}: it stays: {error}"));
}

fn hello(method: Method, version: u16) -> Message<'static> {
    Message::Hello(Hello {
        oldest_version: version,
        newest_version: version,
        method,
        epoch: 1,
        log_id: LOG,
        nonce: [3; 32],
        server: "stranger".parse().expect("a name"),
    })
}

fn refusal(code: ErrorCode, seq: u64) -> Message<'static> {
    let text = Sentence::new("says a stranger");
    Message::Err(Refused { code, seq, text })
}

/// Strangers say everything that would cut the copy, move its position or end the process, if their
/// word counted.
#[test]
fn strangers_change_nothing() {
    let place = Place::new();
    write_secret(&place.path("key"), &format!("desk {KEY}\n"));
    let endpoint = format!("unix:{}", place.arg("socket"));
    let (state, into, key) = (place.arg("state"), place.arg("copy"), place.arg("key"));
    let mut subscriber = start(command(&[
        "--listen", &endpoint, "--state", &state, "--into", &into, "--client", "desk", "--key",
        &key,
    ]));
    let provider = Provider::new(Log::up_to(100), Some(&format!("desk {KEY}")));
    dial(&place, &provider, 100);
    let stands = std::fs::read(place.path("state")).expect("reads");
    let copy = place.path("copy").join(format!("from-{:020}.frames", 1));
    let copied = std::fs::read(&copy).expect("reads");

    let proof = Message::AuthOk(AuthOk {
        session: 1,
        identity: None,
        mac: [0; MAC_LEN],
    });
    let hmac = || hello(Method::Hmac, 1);
    let forked = || refusal(ErrorCode::Forked, 1);
    for (name, messages) in [
        ("FORKED at once", vec![forked()]),
        ("FORKED for AUTH_OK", vec![hmac(), forked()]),
        ("PRUNED", vec![refusal(ErrorCode::Pruned, 500)]),
        ("WRONG_LOG", vec![refusal(ErrorCode::WrongLog, 0)]),
        ("DENIED", vec![refusal(ErrorCode::Denied, 0)]),
        ("VERSION", vec![refusal(ErrorCode::Version, 0)]),
        ("another version", vec![hello(Method::Hmac, 9)]),
        ("no proof wanted", vec![hello(Method::Transport, 1)]),
        ("a wrong proof", vec![hmac(), proof]),
    ] {
        say(&place, name, &messages);
        let now = std::fs::read(place.path("state")).expect("reads");
        assert_eq!(now, stands, "the position after {name}");
        let now = std::fs::read(&copy).expect("reads");
        assert!(now == copied, "the copy after {name}");
    }
    assert_eq!(subscriber.0.try_wait().expect("waits"), None, "it ended");

    provider.log.lock().expect("lock").last = 200;
    dial(&place, &provider, 200);
    assert_eq!(acked(&place), 200);
    let starts = provider.seen.lock().expect("lock").starts.clone();
    assert_eq!(starts.last().expect("a start").start, Start::Seq(101));
}

/// More strangers than there are places say nothing, or a byte now and then, and stay: the true
/// exporter gets in at once, and each of the others is closed by its deadline at the latest.
#[test]
fn silent_strangers_keep_nobody_out() {
    let place = Place::new();
    write_secret(&place.path("key"), &format!("desk {KEY}\n"));
    let endpoint = format!("unix:{}", place.arg("socket"));
    let (state, key) = (place.arg("state"), place.arg("key"));
    let _subscriber = start(command(&[
        "--listen",
        &endpoint,
        "--state",
        &state,
        "--client",
        "desk",
        "--key",
        &key,
        // Longer than the exporter may need: were one stranger waited for, it would come too late.
        "--connect-timeout-ms",
        "40000",
    ]));
    let strangers: Vec<UnixStream> = (0..40).map(|_| connected(&place)).collect();
    let provider = Provider::new(Log::up_to(100), Some(&format!("desk {KEY}")));
    dial(&place, &provider, 100);
    assert_eq!(acked(&place), 100);
    for mut stranger in strangers {
        let limit = Some(Duration::from_secs(20));
        stranger.set_read_timeout(limit).expect("sets");
        let mut answer = Vec::new();
        stranger
            .read_to_end(&mut answer)
            .expect("closed when the exporter came in");
        assert_eq!(answer, b"");
    }
}

/// A stranger that always says a little more is closed all the same when its time is up, and one that
/// says a lot before any proof is closed at once.
#[test]
fn a_place_has_one_deadline_and_few_bytes() {
    let (hello, seconds) = (hello(Method::Hmac, 1).to_frame(), Duration::from_secs);
    let pace = seconds(6) / u32::try_from(hello.len()).expect("short");
    let dripped = until_closed("1500", pace, &hello, 1);
    assert!(
        dripped > seconds(1) && dripped < promised(seconds(5)),
        "the dripping one: {dripped:?}"
    );
    // Long enough that no socket's buffer takes it, and so long a deadline that it is not the cause.
    let block = vec![0; 1 << 20];
    let data = Message::Data(Data {
        base_seq: 1,
        block: &block,
    });
    let poured = until_closed("600000", Duration::ZERO, &data.to_frame(), 1_024);
    assert!(poured < promised(seconds(1)), "the pouring one: {poured:?}");
}

/// Says `bytes` to a subscriber that waits so long for a proof, `at_once` of them in each `pace`; how
/// long it is listened to.
fn until_closed(timeout_ms: &str, pace: Duration, bytes: &[u8], at_once: usize) -> Duration {
    let place = Place::new();
    let endpoint = format!("unix:{}", place.arg("socket"));
    let state = place.arg("state");
    let _subscriber = start(command(&[
        "--listen",
        &endpoint,
        "--state",
        &state,
        "--connect-timeout-ms",
        timeout_ms,
    ]));
    drop(connected(&place));
    let begun = Instant::now();
    let mut socket = connected(&place);
    let limit = Some(Duration::from_secs(100));
    socket.set_write_timeout(limit).expect("sets");
    for part in bytes.chunks(at_once) {
        if socket.write_all(part).is_err() {
            return begun.elapsed();
        }
        thread::sleep(pace);
    }
    panic!("all of it is taken");
}

/// A host that calls again and again gets no more than its budget, and is told so in the log; the true
/// exporter, on another one, comes in.
#[test]
fn a_flood_of_one_host_keeps_nobody_out() {
    let place = Place::new();
    write_secret(&place.path("key"), &format!("desk {KEY}\n"));
    let port = TcpListener::bind("127.0.0.1:0").and_then(|it| Ok(it.local_addr()?.port()));
    let port = port.expect("a port");
    let (endpoint, state, key) = (
        format!("127.0.0.1:{port}"),
        place.arg("state"),
        place.arg("key"),
    );
    let mut listening = command(&[
        "--listen", &endpoint, "--state", &state, "--client", "desk", "--key", &key,
    ]);
    let log = std::fs::File::create(place.path("log")).expect("creates");
    let child = listening.stdout(Stdio::null()).stderr(log).spawn();
    let _subscriber = Running(child.expect("runs"));
    wait_for("the listening subscriber", || from(1, port).is_ok());
    let _flood: Vec<_> = (0..60).filter_map(|_| from(1, port).ok()).collect();
    wait_for("the limit", || {
        let log = std::fs::read_to_string(place.path("log")).expect("reads");
        log.contains("too many connections of this address")
    });
    let provider = Provider::new(Log::up_to(100), Some(&format!("desk {KEY}")));
    let socket = Arc::new(from(2, port).expect("connects"));
    let (serving, shared) = (provider.clone(), Arc::clone(&socket));
    let served = thread::spawn(move || {
        serving.serve(&*shared, Transport::Clear { is_loopback: true });
    });
    wait_for("the acknowledgement", || acked(&place) == 100);
    socket.shutdown(Shutdown::Both).expect("shuts down");
    served.join().expect("ends");
}

/// A connection to us from a host of the loopback network.
fn from(host: u8, port: u16) -> std::io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(
        &socket,
        &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0),
    )?;
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket.into())
}

/// A subscriber that was killed leaves its socket; the next one listens there all the same. A file
/// that is no socket stays.
#[test]
fn the_socket_of_a_killed_one_is_taken_over() {
    let place = Place::new();
    let endpoint = format!("unix:{}", place.arg("socket"));
    let state = place.arg("state");
    let arguments = ["--listen", &endpoint, "--state", &state];
    let killed = start(command(&arguments));
    connected(&place);
    drop(killed);
    assert!(place.path("socket").exists(), "it was killed");
    let _next = start(command(&arguments));
    connected(&place);

    std::fs::write(place.path("file"), "precious").expect("writes");
    let endpoint = format!("unix:{}", place.arg("file"));
    let output = subscribe(&["--listen", &endpoint, "--state", &state]);
    let (code, text) = told(&output);
    assert!(code != 0 && text.contains("no socket"), "{code}: {text}");
    assert!(place.path("file").exists());
}

/// Nobody reads what is printed: nothing of it is stored or acknowledged, and the process ends.
#[test]
fn what_nobody_reads_is_not_acknowledged() {
    let place = Place::new();
    // Few enough to lie in the buffer until the position is to be stored.
    let provider = Provider::new(Log::up_to(5), None);
    provider.on_unix(&place.path("socket"));
    let endpoint = format!("unix:{}", place.arg("socket"));
    let state = place.arg("state");
    let mut command = command(&[
        "--connect",
        &endpoint,
        "--state",
        &state,
        "--client",
        "desk",
    ]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut subscriber = Running(child.expect("runs"));
    drop(subscriber.0.stdout.take());
    let mut status = None;
    wait_for("the end", || {
        status = subscriber.0.try_wait().expect("waits");
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    let seen = provider.seen.lock().expect("lock").clone();
    assert_eq!((seen.connections, seen.acks), (1, vec![]));
    assert_eq!(position(&place.path("state")), None);
}
