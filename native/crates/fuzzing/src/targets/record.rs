//! Payloads of our own records: what was read is written to the same bytes, but for padding.

use tickdeck_wire::ledger::{LedgerNote, LedgerRow};
use tickdeck_wire::record::{
    Checkpoint, GapEvent, JournalHole, LostEvent, SessionEvent, SnapshotEvent,
};

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(event) = GapEvent::decode(bytes) {
        assert_eq!(event.encode(), bytes);
    }
    if let Ok(event) = LostEvent::decode(bytes) {
        assert_eq!(event.encode()[..33], bytes[..33]);
        assert_eq!(LostEvent::decode(&event.encode()), Ok(event));
    }
    if let Ok(event) = SessionEvent::decode(bytes) {
        assert_eq!(event.encode()[0], bytes[0]);
        assert_eq!(event.encode()[6..], bytes[6..]);
        assert_eq!(SessionEvent::decode(&event.encode()), Ok(event));
    }
    if let Ok(event) = SnapshotEvent::decode(bytes) {
        assert_eq!(event.encode(), bytes);
    }
    if let Ok(hole) = JournalHole::decode(bytes) {
        assert_eq!(hole.encode()[..17], bytes[..17]);
        assert_eq!(JournalHole::decode(&hole.encode()), Ok(hole));
    }
    if let Ok(checkpoint) = Checkpoint::decode(bytes) {
        assert_eq!(checkpoint.encode()[..37], bytes[..37]);
        assert_eq!(Checkpoint::decode(&checkpoint.encode()), Ok(checkpoint));
    }
    if let Ok(row) = LedgerRow::decode(bytes) {
        assert_eq!(LedgerRow::decode(&row.encode()), Ok(row));
        assert_eq!(row.encode()[..28], bytes[..28]);
        assert!(["", "none", "one", "all"].contains(&row.lost_on()));
    }
    if let Ok(note) = LedgerNote::decode(bytes) {
        let mut out = [0; LedgerNote::MAX_LEN];
        let again = LedgerNote::decode(note.encode(&mut out)).expect("a written note");
        assert_eq!((again.gap_id, again.at_ns), (note.gap_id, note.at_ns));
        assert!(note.actor.starts_with(again.actor) && note.note.starts_with(again.note));
        let is_cut = |text: &str, most| text.len() > most;
        assert!(again.actor == note.actor || is_cut(note.actor, LedgerNote::MAX_ACTOR));
        assert!(again.note == note.note || is_cut(note.note, LedgerNote::MAX_NOTE));
    }
}
