//! The writer of pins over a store that is slow, hangs or fails.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::Value;
use tickdeck_stats::{Builder, Identity, StatsFile};

use super::*;
use crate::spec::TcpExport;

#[path = "../../../tests/common/spec.rs"]
#[expect(dead_code, reason = "a part is for other tests")]
mod spec;

const PATIENCE: Duration = Duration::from_secs(60);

/// Says which pin it is asked to write, and takes as long as the test wants.
struct Held {
    asked: Sender<(String, u64)>,
    answers: Receiver<bool>,
    pins: Vec<Pin>,
}

impl PinStore for Held {
    fn read(&self) -> Result<Vec<Pin>, JournalError> {
        Ok(self.pins.clone())
    }

    fn write(&self, pin: &Pin) -> Result<(), JournalError> {
        self.asked
            .send((pin.client.clone(), pin.acked_seq))
            .expect("the test listens");
        match self.answers.recv_timeout(PATIENCE).expect("an answer") {
            true => Ok(()),
            false => Err(JournalError::NotAJournal {
                dir: "nowhere".into(),
            }),
        }
    }
}

/// A writer at work, and its store's other end.
struct Desk {
    board: PinBoard,
    asked: Receiver<(String, u64)>,
    answers: Sender<bool>,
    writer: thread::JoinHandle<Result<(), Failure>>,
    _stats: (tempfile::TempDir, StatsFile),
}

impl Desk {
    fn new() -> Self {
        Self::with(Vec::new())
    }

    /// Beside pins that are there.
    fn with(pins: Vec<Pin>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut builder = Builder::new(Identity {
            worker_id: "T-export".to_owned(),
            resource: "T".to_owned(),
            build_id: "test".to_owned(),
            incarnation: [1; 16],
            generation: 1,
        });
        builder.begin_thread();
        let metrics = PinMetrics {
            lost: builder.gauge("lost", "slots", ""),
            failures: builder.counter("failures", "failures", ""),
        };
        let file = builder.create(dir.path()).expect("creates");
        let (ask, asked) = channel();
        let (answers, answer) = channel();
        let export: Value = spec::tcp_export();
        let export: TcpExport = serde_json::from_value(export).expect("a spec");
        let board = PinBoard::default();
        let writer = PinWriter {
            store: Held {
                asked: ask,
                answers: answer,
                pins,
            },
            board: board.clone(),
            admissions: Admissions::new(&export),
            metrics,
        };
        Self {
            board,
            asked,
            answers,
            writer: thread::spawn(move || writer.run()),
            _stats: (dir, file),
        }
    }

    fn next(&self) -> (String, u64) {
        self.asked.recv_timeout(PATIENCE).expect("writes")
    }

    fn answer(&self, is_good: bool) {
        self.answers.send(is_good).expect("waits");
    }

    fn wait_for_kept(&self, name: &ClientId, seq: u64) {
        let until = Instant::now() + PATIENCE;
        while self.board.kept(name) != Some(seq) {
            assert!(Instant::now() < until, "{:?}", self.board.kept(name));
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn named(name: &str) -> ClientId {
    name.parse().expect("a name")
}

/// While the store hangs, notes are taken at once and only the newest of each is written; nothing is
/// called kept before it is durable, and the wait is told.
#[test]
fn a_store_that_hangs_holds_nobody() {
    let desk = Desk::new();
    let (a, b) = (named("a"), named("b"));
    desk.board.begun(&a, 5);
    assert_eq!(desk.next(), ("a".to_owned(), 5));
    let begun = Instant::now();
    for seq in 6..=10_000 {
        desk.board.acked(&a, seq);
        desk.board.acked(&b, seq * 2);
    }
    assert_eq!(desk.board.state().notes.len(), 2, "one note of each");
    assert_eq!((desk.board.kept(&a), desk.board.kept(&b)), (None, None));
    while desk.board.lag() < Duration::from_millis(20) {
        assert!(begun.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(1));
    }
    desk.answer(true);
    desk.wait_for_kept(&a, 5);
    assert_eq!(desk.next(), ("a".to_owned(), 10_000));
    assert_eq!(desk.board.kept(&a), Some(5));
    desk.answer(true);
    assert_eq!(desk.next(), ("b".to_owned(), 20_000));
    desk.wait_for_kept(&a, 10_000);
    assert_eq!(desk.board.kept(&b), None);
    desk.answer(true);
    desk.wait_for_kept(&b, 20_000);
    assert_eq!(desk.board.lag(), Duration::ZERO);
}

/// A pin that was given up keeps nothing, and is not called kept any longer.
#[test]
fn a_lost_pin_keeps_nothing() {
    let pin = Pin {
        client: "a".to_owned(),
        acked_seq: 5,
        retain_max_bytes: 1,
        retain_max_age_s: 0,
        acked_ns: 1,
        lost: true,
    };
    let desk = Desk::with(vec![pin]);
    let (a, b) = (named("a"), named("b"));
    desk.board.acked(&b, 7);
    assert_eq!(desk.next(), ("b".to_owned(), 7));
    desk.board.state().kept.insert(a.clone(), 5);
    desk.answer(true);
    desk.wait_for_kept(&b, 7);
    let until = Instant::now() + PATIENCE;
    while desk.board.kept(&a).is_some() {
        assert!(Instant::now() < until, "kept for ever");
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(desk.board.kept(&b), Some(7));
}

/// What fails is not called kept, is tried again, and a newer note goes instead.
#[test]
fn a_store_that_fails_is_tried_again() {
    let desk = Desk::new();
    let a = named("a");
    desk.board.begun(&a, 5);
    assert_eq!(desk.next(), ("a".to_owned(), 5));
    desk.answer(false);
    assert_eq!(desk.next(), ("a".to_owned(), 5));
    desk.board.acked(&a, 7);
    desk.answer(false);
    assert_eq!(desk.next(), ("a".to_owned(), 7));
    assert_eq!(desk.board.kept(&a), None);
    assert!(
        desk.board.lag() >= ROUND,
        "it has waited since the first try"
    );
    desk.answer(true);
    desk.wait_for_kept(&a, 7);
}

/// A stop writes what is left; a store that fails then is an end with an error.
#[test]
fn a_stop_writes_what_is_left() {
    for is_good in [true, false] {
        let desk = Desk::new();
        let a = named("a");
        desk.board.begun(&a, 5);
        desk.next();
        desk.answer(true);
        desk.wait_for_kept(&a, 5);
        desk.board.acked(&a, 9);
        desk.board.close();
        assert_eq!(desk.next(), ("a".to_owned(), 9));
        desk.answer(is_good);
        let ended = desk.writer.join().expect("no panic");
        assert_eq!(ended.is_ok(), is_good, "{ended:?}");
        let kept = if is_good { 9 } else { 5 };
        assert_eq!(desk.board.kept(&a), Some(kept));
    }
}
