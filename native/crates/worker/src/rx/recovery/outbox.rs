//! What goes to the receive thread: notes, answers and parts of snapshots, in order.
//!
//! Answers travel in buffers that come back. While none is at hand, what came waits here and the
//! sources are not read: their own buffers are the next to fill.

use std::collections::VecDeque;

use tickdeck_wire::moldudp64::BLOCK_LEN;

use crate::rx::link::{About, Answer, Feedback, RecoveryEnd};

pub(super) struct Outbox {
    pub(super) end: RecoveryEnd,
    /// What has not gone out yet, in order.
    unsent: VecDeque<Item>,
    /// How many of them wait for a buffer.
    waiting: usize,
}

enum Item {
    Ready(Feedback),
    Waiting(Waiting),
}

/// What a buffer carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freight {
    Answer,
    SnapshotPart,
}

struct Waiting {
    freight: Freight,
    about: About,
    payload: Vec<u8>,
    rx_ns: u64,
}

impl Outbox {
    pub(super) fn new(end: RecoveryEnd) -> Self {
        Self {
            end,
            unsent: VecDeque::new(),
            waiting: 0,
        }
    }

    /// Bytes that one buffer takes.
    pub(super) fn buffer_bytes(&self) -> usize {
        self.end.max_packet_bytes
    }

    /// Whether more can be taken from the sources.
    pub(super) fn has_room(&self) -> bool {
        self.waiting == 0 && !self.end.free.is_empty()
    }

    /// Whether everything has gone out and buffers are at hand.
    pub(super) fn is_clear(&self) -> bool {
        self.unsent.is_empty() && self.has_room()
    }

    /// A note.
    pub(super) fn tell(&mut self, feedback: Feedback) {
        self.unsent.push_back(Item::Ready(feedback));
    }

    /// An answer; blocks that are longer than a buffer go in several.
    pub(super) fn answer(&mut self, about: About, payload: &[u8], rx_ns: u64) {
        if about.is_whole {
            return self.put(Freight::Answer, about, payload, rx_ns);
        }
        let mut first = about.first;
        for (count, blocks) in pieces(payload, self.buffer_bytes()) {
            let piece = About {
                first,
                count,
                ..about
            };
            self.put(Freight::Answer, piece, blocks, rx_ns);
            first += u64::from(count);
        }
    }

    /// A part of a snapshot that fits a buffer.
    pub(super) fn snapshot_part(&mut self, about: About, payload: &[u8], rx_ns: u64) {
        self.put(Freight::SnapshotPart, about, payload, rx_ns);
    }

    /// Moves everything on as far as there is room, and wakes the receive thread.
    pub(super) fn flush(&mut self) {
        while let Ok(answer) = self.end.returns.pop() {
            self.end.free.push(answer);
        }
        let mut sent = false;
        while let Some(item) = self.unsent.pop_front() {
            let feedback = match self.loaded(item) {
                Ok(feedback) => feedback,
                Err(waiting) => {
                    self.unsent.push_front(Item::Waiting(waiting));
                    break;
                }
            };
            match self.end.feedback.push(feedback) {
                Ok(()) => sent = true,
                Err(rtrb::PushError::Full(feedback)) => {
                    self.unsent.push_front(Item::Ready(feedback));
                    break;
                }
            }
        }
        if sent {
            self.end.wake_receive.wake();
        }
    }

    fn put(&mut self, freight: Freight, about: About, payload: &[u8], rx_ns: u64) {
        let item = match self.end.free.pop() {
            Some(buffer) => Item::Ready(load(buffer, freight, about, payload, rx_ns)),
            None => {
                self.waiting += 1;
                Item::Waiting(Waiting {
                    freight,
                    about,
                    payload: payload.to_vec(),
                    rx_ns,
                })
            }
        };
        self.unsent.push_back(item);
    }

    /// The item in a buffer, if it needs one and there is one.
    fn loaded(&mut self, item: Item) -> Result<Feedback, Waiting> {
        let waiting = match item {
            Item::Ready(feedback) => return Ok(feedback),
            Item::Waiting(waiting) => waiting,
        };
        let Some(buffer) = self.end.free.pop() else {
            return Err(waiting);
        };
        self.waiting -= 1;
        let Waiting {
            freight,
            about,
            payload,
            rx_ns,
        } = waiting;
        Ok(load(buffer, freight, about, &payload, rx_ns))
    }
}

fn load(
    mut buffer: Answer,
    freight: Freight,
    about: About,
    payload: &[u8],
    rx_ns: u64,
) -> Feedback {
    buffer.bytes[..payload.len()].copy_from_slice(payload);
    (buffer.length, buffer.about, buffer.rx_ns) = (payload.len(), about, rx_ns);
    match freight {
        Freight::Answer => Feedback::Answer(buffer),
        Freight::SnapshotPart => Feedback::SnapshotPart(buffer),
    }
}

/// Well-formed message blocks in pieces of whole messages, each of at most `most` bytes. Ends
/// before a message that is longer alone.
pub(super) fn pieces(blocks: &[u8], most: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = blocks;
    std::iter::from_fn(move || {
        let (mut count, mut bytes) = (0u16, 0);
        while let Some([high, low]) = rest.get(bytes..bytes + BLOCK_LEN) {
            let end = bytes + BLOCK_LEN + usize::from(u16::from_be_bytes([*high, *low]));
            if end > most || end > rest.len() || count == u16::MAX - 1 {
                break;
            }
            (count, bytes) = (count + 1, end);
        }
        let (piece, behind) = rest.split_at(bytes);
        rest = behind;
        (count > 0).then_some((count, piece))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rx::link::{Command, link};

    /// More parts than there are buffers, between two notes: everything comes out in order, as
    /// buffers come back, and nothing twice.
    #[test]
    fn order_holds_while_buffers_are_awaited() {
        let (mut receive, end) = link(8, 64).expect("queues");
        let mut outbox = Outbox::new(end);
        let buffers = outbox.end.free.len() as u64;
        outbox.tell(Feedback::SloMissed { id: 1 });
        let about = outbox.end.free[0].about;
        for first in 0..buffers + 10 {
            outbox.snapshot_part(About { first, ..about }, b"part", 0);
        }
        outbox.tell(Feedback::GoOn);
        assert!(!outbox.has_room());
        let (mut firsts, mut notes) = (Vec::new(), Vec::new());
        while !outbox.unsent.is_empty() || notes.len() < 2 {
            outbox.flush();
            while let Ok(feedback) = receive.feedback.pop() {
                match feedback {
                    Feedback::SnapshotPart(part) => {
                        assert_eq!(part.payload(), b"part");
                        firsts.push(part.about.first);
                        receive.returns.push(part).expect("room for every buffer");
                    }
                    note => notes.push((firsts.len() as u64, note)),
                }
            }
        }
        assert!(firsts.into_iter().eq(0..buffers + 10));
        assert!(matches!(notes[0], (0, Feedback::SloMissed { id: 1 })));
        assert!(matches!(notes[1], (at, Feedback::GoOn) if at == buffers + 10));
        outbox.flush();
        assert!(outbox.is_clear());
        assert!(receive.commands.push(Command::ForgetAll).is_ok());
    }

    /// Pieces are whole messages, as many as fit, and together everything; what does not fit alone
    /// ends them.
    #[test]
    fn pieces_hold_whole_messages() {
        let message = [0, 3, b'a', b'b', b'c'];
        let blocks = message.repeat(7);
        let cut: Vec<_> = pieces(&blocks, 14).collect();
        assert_eq!(
            cut.iter().map(|(count, _)| *count).collect::<Vec<_>>(),
            [2, 2, 2, 1]
        );
        assert_eq!(
            cut.iter()
                .flat_map(|(_, piece)| piece.to_vec())
                .collect::<Vec<_>>(),
            blocks
        );
        assert_eq!(pieces(&blocks, 4).count(), 0);
        assert_eq!(
            pieces(&blocks[..6], 100)
                .map(|(count, _)| count)
                .sum::<u16>(),
            1
        );
    }
}
