//! A venue's snapshot in the stream: books begin anew from it, and only a whole one is believed.

use tickdeck_book::{Cause, Trust};
use tickdeck_wire::record::{SessionEventKind, SnapshotEvent, kind};

use crate::channel::{ONE, Stream, TWO, blocks, suspect};
use crate::common::messages::{add, directory};

const RESUME: u64 = 10;

fn event(records: u64) -> SnapshotEvent {
    SnapshotEvent {
        gap_id: 1,
        scope: SnapshotEvent::WHOLE_CHANNEL,
        resume_sequence: RESUME,
        records,
        orders: 3,
    }
}

/// A stream that lost 4..=9 behind messages 1..=3, up to the beginning of a snapshot.
fn at_the_beginning() -> Stream {
    let mut stream = Stream::started();
    stream.data(1, 3);
    stream.lost(1, 4, RESUME - 1);
    assert_eq!(stream.trust(), suspect(4, Cause::MessagesLost));
    stream.record(kind::SNAPSHOT_BEGIN, RESUME, &event(2).encode());
    stream
}

fn part(stream: &mut Stream, references: &[u64]) {
    let orders = references.iter().map(|reference| add(*reference, 7));
    let payload = blocks([directory(1)].into_iter().chain(orders));
    stream.record(kind::SNAPSHOT_DATA, RESUME, &payload);
}

/// A whole snapshot replaces what rested, ends the doubt, and the stream goes on behind it.
#[test]
fn a_whole_snapshot_makes_books_good() {
    let mut stream = at_the_beginning();
    assert_eq!(stream.trust(), suspect(RESUME, Cause::SnapshotIncomplete));
    assert!(stream.channel.is_loading());
    part(&mut stream, &[2, 5]);
    part(&mut stream, &[9]);
    assert_eq!(stream.trust(), suspect(RESUME, Cause::SnapshotIncomplete));
    stream.record(kind::SNAPSHOT_END, RESUME, &event(2).encode());
    assert_eq!(
        (stream.references(), stream.trust()),
        (vec![2, 5, 9], Trust::Good)
    );
    stream.data(RESUME, 11);
    assert_eq!(stream.references(), [2, 5, 9, 10, 11]);
    assert_eq!((stream.errors(), stream.trust()), (0, Trust::Good));
}

/// A gap that opened behind the place of the snapshot stays a doubt.
#[test]
fn a_later_gap_stays_open() {
    let mut stream = at_the_beginning();
    part(&mut stream, &[2]);
    stream.gap(kind::GAP_OPEN, 2, 20, 21);
    part(&mut stream, &[3]);
    stream.record(kind::SNAPSHOT_END, RESUME, &event(2).encode());
    assert_eq!(stream.trust(), suspect(20, Cause::GapOpen));
}

/// A part is missing, messages come in between, another session starts, the numbers disagree: the
/// snapshot is not believed, whatever follows.
#[test]
fn a_broken_snapshot_leaves_the_doubt() {
    let broken: [fn(&mut Stream); 4] = [
        |stream| part(stream, &[2]),
        |stream| {
            part(stream, &[2]);
            part(stream, &[3]);
            stream.data(RESUME, RESUME);
        },
        |stream| {
            part(stream, &[2]);
            part(stream, &[3]);
            stream.seq += 1;
        },
        |stream| {
            for reference in 1..=3 {
                part(stream, &[reference]);
            }
        },
    ];
    for (index, break_it) in broken.iter().enumerate() {
        let mut stream = at_the_beginning();
        break_it(&mut stream);
        stream.record(kind::SNAPSHOT_END, RESUME, &event(2).encode());
        assert_ne!(stream.trust(), Trust::Good, "way {index}");
        assert!(!stream.channel.is_loading());
    }
}

/// Another session ends a half-read snapshot and its doubt.
#[test]
fn a_session_ends_a_half_read_snapshot() {
    let mut stream = at_the_beginning();
    part(&mut stream, &[2]);
    stream.session(SessionEventKind::Changed, TWO, 1);
    assert_eq!(
        (stream.trust(), stream.channel.is_loading()),
        (Trust::Good, false)
    );
    part(&mut stream, &[3]);
    assert!(stream.references().is_empty(), "a part without a beginning");
    stream.session(SessionEventKind::Changed, ONE, 1);
}
