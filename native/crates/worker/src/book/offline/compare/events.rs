//! Events of a walk, each with its number and a digest.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::ops::ControlFlow;

use serde::Serialize;
use tickdeck_book::{Books, Record};
use tickdeck_wire::record::{SessionEvent, SessionEventKind, kind};

use crate::book::offline::protocol::Protocol;
use crate::book::offline::text;
use crate::book::offline::walk::{Place, Visitor};

/// What is looked at while events are counted.
pub(super) trait Watcher {
    /// Before a record, which need not be an event; `events` were counted.
    fn before(&mut self, events: u64, books: &Books) {
        let _ = (events, books);
    }

    /// After an event was applied.
    fn event(&mut self, event: &Seen<'_>, books: &Books);

    /// Whether enough was seen.
    fn is_done(&self) -> bool;

    /// The input has ended, or enough was seen.
    fn end(&mut self, books: &Books) {
        let _ = books;
    }
}

/// An event just applied.
pub(super) struct Seen<'a> {
    /// Its number, counted from 1.
    pub(super) number: u64,
    /// Digest over all events up to this one.
    pub(super) digest: u64,
    pub(super) place: &'a Place,
    pub(super) content: Content<'a>,
}

/// A message, or the payload of a record that is an event.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    Message(&'a [u8]),
    Record { kind: u8, payload: &'a [u8] },
}

/// Counts the events of a walk for a watcher.
pub(super) struct Counting<'a, W> {
    watcher: &'a mut W,
    events: u64,
    digest: u64,
    /// The record being applied, when it is an event of its own.
    record: Option<(u64, u64, u8, Vec<u8>)>,
}

impl<'a, W: Watcher> Counting<'a, W> {
    pub(super) fn new(watcher: &'a mut W) -> Self {
        Self {
            watcher,
            events: 0,
            digest: 0,
            record: None,
        }
    }

    fn count(&mut self, books: &Books, place: &Place, sequence: u64, content: Content<'_>) {
        if self.watcher.is_done() {
            return;
        }
        self.events += 1;
        self.digest = chained(self.digest, sequence, content);
        let seen = Seen {
            number: self.events,
            digest: self.digest,
            place,
            content,
        };
        self.watcher.event(&seen, books);
    }

    fn flow(&self) -> ControlFlow<()> {
        if self.watcher.is_done() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl<W: Watcher> Visitor for Counting<'_, W> {
    fn before(&mut self, books: &Books, _: &Place, record: &Record<'_>) -> ControlFlow<()> {
        self.watcher.before(self.events, books);
        self.record = is_event(record).then(|| {
            (
                record.seq,
                record.rx_ns,
                record.kind,
                record.payload.to_vec(),
            )
        });
        self.flow()
    }

    #[inline]
    fn after(&mut self, books: &Books, place: &Place, message: &[u8]) {
        let sequence = place.sequence.unwrap_or(0);
        self.count(books, place, sequence, Content::Message(message));
    }

    fn behind(&mut self, books: &Books, place: &Place) -> ControlFlow<()> {
        if let Some((seq, rx_ns, kind, payload)) = self.record.take() {
            let here = Place {
                record: Some(seq),
                time_ns: Some(rx_ns),
                ..*place
            };
            let content = Content::Record {
                kind,
                payload: &payload,
            };
            self.count(books, &here, 0, content);
        }
        self.flow()
    }
}

/// Records that change books without a message. That a receiver went on after its restart is known
/// on its host only.
fn is_event(record: &Record<'_>) -> bool {
    match record.kind {
        kind::GAP_LOST | kind::SNAPSHOT_DATA => true,
        kind::SESSION => SessionEvent::decode(record.payload)
            .is_ok_and(|event| event.kind != SessionEventKind::Resumed),
        _ => false,
    }
}

fn chained(digest: u64, sequence: u64, content: Content<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(digest);
    hasher.write_u64(sequence);
    match content {
        Content::Message(message) => {
            hasher.write_u8(kind::DATA);
            hasher.write(message);
        }
        Content::Record { kind, payload } => {
            hasher.write_u8(kind);
            hasher.write(common(kind, payload));
        }
    }
    hasher.finish()
}

/// The part of a payload that two hosts have alike: a loss has a number, a time and a reason of its
/// own host.
fn common(kind: u8, payload: &[u8]) -> &[u8] {
    match kind {
        kind::GAP_LOST => payload.get(8..24).unwrap_or(payload),
        _ => payload,
    }
}

/// An event for people and programs.
#[derive(Serialize)]
pub(super) struct Event {
    #[serde(flatten)]
    place: Place,
    /// `message`, or the kind of the record.
    kind: String,
    /// The message's type on the wire.
    r#type: String,
    /// What the type is called.
    name: &'static str,
    /// The bytes as hexadecimal digits.
    hex: String,
}

impl Event {
    pub(super) fn of(seen: &Seen<'_>, protocol: Protocol) -> Self {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let place = *seen.place;
        match seen.content {
            Content::Message(message) => {
                let (r#type, name) = protocol.describe(message);
                Self {
                    place,
                    kind: "message".to_owned(),
                    r#type,
                    name,
                    hex: hex(message),
                }
            }
            Content::Record { kind, payload } => Self {
                place,
                kind: kind::name(kind).unwrap_or("unknown").to_lowercase(),
                r#type: String::new(),
                name: "",
                hex: hex(payload),
            },
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            kind,
            r#type,
            name,
            hex,
        } = self;
        write!(f, "{kind} {type} {name} ({}) {hex}", text::place(place))
    }
}
