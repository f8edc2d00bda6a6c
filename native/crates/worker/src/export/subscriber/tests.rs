//! One that waits for a sight of the log that is newer than itself.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use tempfile::TempDir;
use tickdeck_export::authenticator::Identity;
use tickdeck_export::message::{Guarantee, Message, Start, Subscribe};
use tickdeck_export::provider::{SlowLimits, SlowPolicy};
use tickdeck_journal::{SegmentIndex, SyncPolicy, Writer, WriterConfig};

use super::*;

const SECOND: u64 = 1_000_000_000;

/// A log, and one that is at the door.
struct Desk {
    _dir: TempDir,
    index: SegmentIndex,
    log: LogView,
    history: HeadHistory,
    subscriber: Subscriber,
    peer: UnixStream,
    now_ns: u64,
}

impl Desk {
    fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let config = WriterConfig::new(dir.path(), 1 << 20, SyncPolicy::default(), 1);
        drop(Writer::open(config).expect("opens"));
        let (peer, socket) = UnixStream::pair().expect("a pair");
        let guest = Guest {
            channel: Channel::unix(socket).expect("a channel"),
            peer: "unix".to_owned(),
            identity: Identity { name: None },
            unsent: Vec::new(),
            ticket: Ticket::default(),
        };
        let config = SessionConfig {
            heartbeat_ns: SECOND,
            timeout_ns: 3 * SECOND,
            write_timeout_ns: 10 * SECOND,
            max_window_bytes: 1 << 20,
            waits_on_full_window: true,
        };
        let admission = Admission {
            name: None,
            allow_written: false,
            policy: SlowPolicy::Disconnect,
            limits: SlowLimits {
                soft_bytes: 1 << 20,
                soft_ns: SECOND,
                hard_bytes: 1 << 30,
                hard_ns: 100 * SECOND,
            },
        };
        let now_ns = monotonic_ns();
        Self {
            index: SegmentIndex::open(dir.path()).expect("opens"),
            _dir: dir,
            log: LogView::default(),
            history: HeadHistory::default(),
            subscriber: Subscriber::new(now_ns, guest, config, admission),
            peer,
            now_ns,
        }
    }

    /// A turn, so long after the beginning, by a sight from then.
    fn turn(&mut self, after_ns: u64, seen_ns: u64) -> Done {
        let segments = self.index.shared();
        let shelf = Shelf {
            segments: &segments,
            log: &self.log,
            history: &self.history,
            seen_ns,
        };
        self.subscriber.turn(self.now_ns + after_ns, &shelf)
    }
}

/// Without a sight it is not listened to; when it has waited as long as it might be silent, it is told
/// to come again, and not that it was late.
#[test]
fn who_cannot_be_judged_may_come_again() {
    let mut desk = Desk::new();
    let done = desk.turn(3 * SECOND - 1, 0);
    assert_eq!(done.ended, None);
    let done = desk.turn(3 * SECOND, 0);
    let busy = |reason: &CloseReason| matches!(reason, CloseReason::Refused(ErrorCode::Busy, _));
    assert!(done.ended.as_ref().is_some_and(busy), "{:?}", done.ended);
}

/// A sight that comes late is in time: from then on it has its time to subscribe.
#[test]
fn a_late_sight_is_in_time() {
    let mut desk = Desk::new();
    assert_eq!(desk.turn(3 * SECOND - 1, 0).ended, None);
    let seen_ns = desk.subscriber.welcomed_ns;
    assert_eq!(desk.turn(4 * SECOND, seen_ns).ended, None);
    let subscribe = Message::Subscribe(Subscribe {
        guarantee: Guarantee::Durable,
        start: Start::Live,
        epoch: 0,
        log_id: [0; 16],
        window_bytes: 1 << 16,
    });
    desk.peer
        .write_all(&subscribe.to_frame())
        .expect("is read later");
    let done = desk.turn(6 * SECOND, seen_ns);
    assert_eq!(done.ended, None);
    assert!(done.begun.is_some());
}

/// One that hung up before it may speak is not waited for: it would wake us again and again.
#[test]
fn who_may_not_speak_is_not_waited_for() {
    let desk = Desk::new();
    let subscriber = &desk.subscriber;
    let seen_ns = subscriber.welcomed_ns;
    assert!(subscriber.interest(seen_ns - 1).is_empty());
    assert_eq!(subscriber.interest(seen_ns), PollFlags::IN);
}
