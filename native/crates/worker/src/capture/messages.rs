//! The messages of a session out of a capture: the MoldUDP64 packets of one destination, put in
//! order of sequence, each message once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use tickdeck_wire::moldudp64::{Packet, Session, count_blocks, skip_blocks};

use super::reader::{CaptureError, Reader, Skips};

/// Destinations that an error names.
const NAMED: usize = 8;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedMessages {
    /// The messages as blocks (`u16` big-endian length, then the message), which is a BinaryFILE.
    pub blocks: Vec<u8>,
    /// How many there are.
    pub messages: u64,
    /// The destination whose packets were taken.
    pub destination: SocketAddr,
    /// The session of the first packet with messages; packets of others are not taken.
    pub session: Session,
    /// Sequence number of the first message.
    pub first: u64,
    /// Sequence number of the last message.
    pub last: u64,
    /// Messages between those two that the capture does not have.
    pub missing: u64,
    /// Messages that came again.
    pub duplicates: u64,
    /// Packets of other sessions.
    pub other_sessions: u64,
    /// Datagrams to the destination that are not MoldUDP64.
    pub not_moldudp64: u64,
    /// Frames that hold no datagram.
    pub skips: Skips,
}

/// Reads the messages sent to `wanted`, or to the first destination that gets MoldUDP64 messages.
/// The capture's messages are held in memory.
///
/// # Errors
///
/// [`CaptureError::Nothing`] when there are none, with the destinations that there are; others when
/// the file cannot be read to its end.
pub fn read_messages(
    path: &Path,
    wanted: Option<SocketAddr>,
) -> Result<CapturedMessages, CaptureError> {
    let mut reader = Reader::open(path)?;
    let mut collector = Collector {
        wanted,
        ..Collector::default()
    };
    while let Some(frame) = reader.next_frame()? {
        if let Ok(datagram) = frame.datagram {
            collector.take(datagram.destination, datagram.payload);
        }
    }
    let skips = reader.skips();
    collector
        .finish(skips)
        .map_err(|problem| CaptureError::Nothing {
            path: path.to_owned(),
            problem,
        })
}

/// Messages of one packet.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u64,
    count: u64,
    /// Where its blocks begin and end in the collector's bytes.
    begin: usize,
    end: usize,
}

#[derive(Default)]
struct Collector {
    wanted: Option<SocketAddr>,
    session: Option<Session>,
    bytes: Vec<u8>,
    runs: Vec<Run>,
    /// Other destinations, some of them, for the error.
    others: BTreeSet<SocketAddr>,
    other_sessions: u64,
    not_moldudp64: u64,
}

impl Collector {
    fn take(&mut self, destination: SocketAddr, payload: &[u8]) {
        if self.wanted.is_some_and(|wanted| wanted != destination) {
            self.name(destination);
            return;
        }
        let Ok(packet) = Packet::parse(payload) else {
            match self.wanted {
                Some(_) => self.not_moldudp64 += 1,
                None => self.name(destination),
            }
            return;
        };
        if packet.count() == 0 {
            return;
        }
        self.wanted = Some(destination);
        if *self.session.get_or_insert(packet.session()) != packet.session() {
            self.other_sessions += 1;
            return;
        }
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(packet.blocks());
        self.runs.push(Run {
            first: packet.first_sequence(),
            count: packet.count().into(),
            begin,
            end: self.bytes.len(),
        });
    }

    fn name(&mut self, destination: SocketAddr) {
        if self.others.len() < NAMED {
            self.others.insert(destination);
        }
    }

    fn finish(mut self, skips: Skips) -> Result<CapturedMessages, String> {
        // Stable: of two packets with the same messages the one that came first is taken.
        self.runs.sort_by_key(|run| run.first);
        let (Some(destination), Some(session), Some(first_run)) =
            (self.wanted, self.session, self.runs.first())
        else {
            return Err(self.nothing(skips));
        };
        let first = first_run.first;
        let mut found = CapturedMessages {
            blocks: Vec::with_capacity(self.bytes.len()),
            messages: 0,
            destination,
            session,
            first,
            last: first - 1,
            missing: 0,
            duplicates: 0,
            other_sessions: self.other_sessions,
            not_moldudp64: self.not_moldudp64,
            skips,
        };
        for run in &self.runs {
            found.append(run, &self.bytes[run.begin..run.end]);
        }
        Ok(found)
    }

    /// Why there is nothing to play.
    fn nothing(&self, skips: Skips) -> String {
        let what = match self.wanted {
            Some(wanted) => format!("no MoldUDP64 messages were sent to {wanted}"),
            None => "it holds no MoldUDP64 messages".to_owned(),
        };
        let not_moldudp64 = self.not_moldudp64;
        let others: Vec<String> = self.others.iter().map(SocketAddr::to_string).collect();
        let others = match others.as_slice() {
            [] => "no other UDP destinations".to_owned(),
            some => format!("datagrams to {}", some.join(", ")),
        };
        format!(
            "{what} ({not_moldudp64} datagrams of another protocol); there are {others}, and {} \
             frames without a UDP datagram",
            skips.total()
        )
    }
}

impl CapturedMessages {
    /// Writes down what was taken and, as a warning, what is not there.
    pub fn log(&self, path: &Path) {
        let path = path.display();
        let (first, last, messages) = (self.first, self.last, self.messages);
        tracing::info!(
            %path, destination = %self.destination, session = %self.session, first, last, messages,
            "messages of a capture"
        );
        if self.missing + self.other_sessions + self.not_moldudp64 > 0 {
            tracing::warn!(
                missing = self.missing,
                packets_of_other_sessions = self.other_sessions,
                not_moldudp64 = self.not_moldudp64,
                "the capture is not whole; what it has is taken without the rest"
            );
        }
    }

    /// Appends what is new of a run; runs come in order of their first sequence.
    fn append(&mut self, run: &Run, blocks: &[u8]) {
        let next = self.last + 1;
        self.missing += run.first.saturating_sub(next);
        let known = next.saturating_sub(run.first).min(run.count);
        self.duplicates += known;
        if known == run.count {
            return;
        }
        let known = usize::try_from(known).expect("a packet has fewer than 65,535 messages");
        let fresh = skip_blocks(blocks, known).expect("a parsed packet has all its blocks");
        debug_assert_eq!(count_blocks(fresh), Some(run.count as usize - known));
        self.blocks.extend_from_slice(fresh);
        self.messages += run.count - known as u64;
        self.last = run.first + run.count - 1;
    }
}

#[cfg(test)]
mod tests {
    use tickdeck_wire::moldudp64::{PacketBuilder, heartbeat};

    use super::*;

    const SESSION: Session = Session(*b"DEMO000001");

    fn packet(session: Session, first: u64, last: u64) -> Vec<u8> {
        let mut builder = PacketBuilder::new(session, 1400);
        builder.begin(first);
        for sequence in first..=last {
            assert!(builder.push(&sequence.to_be_bytes()));
        }
        builder.finish().to_vec()
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn sequences(found: &CapturedMessages) -> Vec<u64> {
        let blocks = tickdeck_wire::moldudp64::Blocks::new(&found.blocks);
        blocks
            .map(|message| u64::from_be_bytes(message.try_into().expect("eight bytes")))
            .collect()
    }

    /// Packets out of order, twice and overlapping give each message once and in order; what is
    /// missing, repeated or of another session is counted.
    #[test]
    fn messages_come_once_and_in_order() {
        let mut collector = Collector::default();
        let (a, b) = (at("239.1.1.1:1"), at("239.1.1.2:1"));
        collector.take(b, b"another protocol");
        collector.take(b, &heartbeat(SESSION, 4));
        for (first, last) in [(8, 9), (4, 6), (4, 6), (5, 7), (12, 12), (9, 9)] {
            collector.take(a, &packet(SESSION, first, last));
        }
        collector.take(a, &packet(Session(*b"OTHER     "), 10, 11));
        collector.take(a, b"another protocol");
        collector.take(b, &packet(SESSION, 10, 11));
        let found = collector.finish(Skips::default()).expect("messages");
        assert_eq!(sequences(&found), [4, 5, 6, 7, 8, 9, 12]);
        assert_eq!((found.first, found.last, found.messages), (4, 12, 7));
        assert_eq!((found.missing, found.duplicates), (2, 6));
        assert_eq!((found.other_sessions, found.not_moldudp64), (1, 1));
        assert_eq!((found.destination, found.session), (a, SESSION));
    }

    /// The destination that was asked for is taken, whatever came first; one that gets no messages
    /// is an error that names what there is.
    #[test]
    fn a_destination_can_be_chosen() {
        let (a, b, c) = (at("239.1.1.1:1"), at("[ff15::1]:2"), at("239.1.1.3:3"));
        let collected = |wanted| {
            let mut collector = Collector {
                wanted: Some(wanted),
                ..Collector::default()
            };
            collector.take(a, &packet(SESSION, 1, 2));
            collector.take(b, &packet(SESSION, 3, 3));
            collector.take(c, b"quotes");
            collector.finish(Skips::default())
        };
        assert_eq!(sequences(&collected(b).expect("messages")), [3]);
        let error = collected(c).expect_err("no messages");
        assert!(
            error.contains("no MoldUDP64 messages were sent to 239.1.1.3:3"),
            "{error}"
        );
        assert!(error.contains("1 datagrams of another protocol"), "{error}");
        assert!(
            error.contains("datagrams to 239.1.1.1:1, [ff15::1]:2"),
            "{error}"
        );
    }

    /// Sequence numbers up to the last that there are do not overflow.
    #[test]
    fn the_highest_sequences_are_taken() {
        let mut collector = Collector::default();
        collector.take(
            at("239.1.1.1:1"),
            &packet(SESSION, u64::MAX - 1, u64::MAX - 1),
        );
        collector.take(at("239.1.1.1:1"), &packet(SESSION, 1, 1));
        let found = collector.finish(Skips::default()).expect("messages");
        assert_eq!((found.first, found.last), (1, u64::MAX - 1));
        assert_eq!((found.messages, found.missing), (2, u64::MAX - 3));
    }
}
