//! GLIMPSE: the snapshot makes the same books as the messages before it.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tickdeck_book::{Books, BooksConfig};
use tickdeck_recovery::Fault;
use tickdeck_recovery::glimpse::{Action, GlimpseClient, GlimpseConfig, Snapshot};
use tickdeck_sim::History;
use tickdeck_sim::lies::Lie;
use tickdeck_sim::servers::snapshot;
use tickdeck_wire::moldudp64::Blocks;

use crate::driver::read;
use crate::support::{SESSION, Sim, day};

/// What is compared of a book: name, hash of its queues, which tells their order, trading state.
type Seen = Vec<(Vec<u8>, [u8; 32], u8)>;

fn books<'a>(messages: impl Iterator<Item = &'a [u8]>) -> Books {
    let mut books = Books::new(BooksConfig::default());
    for (sequence, message) in (1..).zip(messages) {
        let applied = books.apply(sequence, message);
        assert_eq!(applied.fault, None, "message {sequence}");
    }
    books
}

fn seen(books: &Books) -> Seen {
    let see = |book: tickdeck_book::BookView<'_>| {
        let symbol = book.symbol().as_bytes().to_vec();
        (symbol, book.queue_sha256(), book.trading_state())
    };
    let mut seen: Seen = books.iter().map(see).collect();
    seen.sort();
    seen
}

fn before(history: &History, next_sequence: u64) -> Books {
    books((1..next_sequence).filter_map(|sequence| history.message(sequence)))
}

fn load(sim: &Sim, at_least: u64) -> Result<Snapshot, Fault> {
    let mut config = GlimpseConfig {
        timeout_ns: 2_000_000_000,
        ..GlimpseConfig::default()
    };
    config.soup.timing.login_timeout_ns = 300_000_000;
    let mut client = GlimpseClient::new(config);
    let started = Instant::now();
    let now_ns = || u64::try_from(started.elapsed().as_nanos()).expect("not so long");
    let mut socket: Option<TcpStream> = None;
    client.ask(Some(SESSION), at_least, now_ns());
    while started.elapsed() < Duration::from_secs(20) {
        while let Some(action) = client.poll(now_ns()) {
            match action {
                Action::Connect => {
                    socket = Some(TcpStream::connect(sim.address("glimpse")).expect("connect"));
                    client.on_connected(now_ns());
                }
                Action::Send(bytes) => {
                    // What was sent to a closed connection shows when it is read.
                    drop(socket.as_mut().expect("connected").write_all(&bytes));
                }
                Action::Close => socket = None,
                Action::Loaded(snapshot) => return Ok(snapshot),
                Action::Failed { fault, .. } => return Err(fault),
            }
        }
        let goes_on = read(
            socket.as_mut(),
            Duration::from_millis(20),
            |bytes| match bytes {
                Some(bytes) => client.on_bytes(bytes, now_ns()),
                None => client.on_closed(now_ns()),
            },
        );
        if !goes_on {
            socket = None;
        }
    }
    panic!("no outcome");
}

/// Proves at many places of a day that the snapshot makes the very books that the messages before
/// it make, queues included.
#[test]
fn a_snapshot_is_the_state() {
    let history = day();
    let places = (1..=history.next_sequence()).step_by(97);
    for next_sequence in places.chain([history.next_sequence()]) {
        let made = snapshot(&history, next_sequence);
        let count = made.messages();
        let end = made.message(count).expect("an end");
        assert_eq!(end, format!("G{next_sequence:20}").as_bytes());
        let of_snapshot = books((1..count).filter_map(|number| made.message(number)));
        let of_messages = before(&history, next_sequence);
        assert_eq!(
            seen(&of_snapshot),
            seen(&of_messages),
            "before {next_sequence}"
        );
        assert_eq!(of_snapshot.system_event(), of_messages.system_event());
    }
}

/// Proves that the sim serves the snapshot of now, and that the client loads it.
#[test]
fn the_snapshot_of_now_is_served() {
    let (sim, history) = (Sim::played(7), day());
    let loaded = load(&sim, history.next_sequence()).expect("a snapshot");
    assert_eq!(loaded.session, SESSION);
    assert_eq!(loaded.resume_sequence, history.next_sequence());
    let of_snapshot = books(Blocks::new(&loaded.blocks));
    assert_eq!(
        seen(&of_snapshot),
        seen(&before(&history, history.next_sequence()))
    );
    assert_eq!(loaded.orders, of_snapshot.order_count() as u64);
}

/// Proves for each lie that it is named and that no snapshot comes of it.
#[test]
fn lies_are_named_and_bring_nothing() {
    let (mut sim, history) = (Sim::played(8), day());
    for lie in Lie::ALL {
        sim.arm("glimpse", lie.name(), 5_000);
        let fault = load(&sim, history.next_sequence()).expect_err("a lie");
        assert_eq!(fault.name(), lie.name());
        assert!(sim.clear() >= 1, "{lie:?} is counted");
    }
    assert!(load(&sim, history.next_sequence()).is_ok());
}
