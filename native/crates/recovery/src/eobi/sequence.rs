//! The packets of the snapshot channel in order, out of up to eight lines.
//!
//! A number that comes again is the other line's copy. A number that is missing is waited for
//! until so many packets behind it have come; then it is lost. Numbers begin again when a line
//! goes back and its TransactTime does not; a packet older than that restart is a straggler.

use std::collections::BTreeMap;

use tickdeck_wire::eobi::{Packet, Release};

/// Lines that are told apart; more share the last place.
const LINES: usize = 8;

/// What a packet is to the numbers that hold now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It is of these numbers.
    Current,
    /// The numbers begin again with it.
    Restart,
    /// It was sent before the last restart.
    Straggler,
}

/// Puts packets in order.
#[derive(Debug)]
pub(super) struct Sequence {
    patience: usize,
    lines: [Option<Seen>; LINES],
    /// Packets sent before are of older numbers.
    began_ns: u64,
    next: Option<u32>,
    waiting: BTreeMap<u32, (Release, Vec<u8>)>,
}

/// A line's newest packet.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sequence: u32,
    sent_ns: u64,
}

impl Sequence {
    /// Waits for a missing packet until `patience` ones behind it have come.
    pub(super) fn new(patience: usize) -> Self {
        Self {
            patience,
            lines: [None; LINES],
            began_ns: 0,
            next: None,
            waiting: BTreeMap::new(),
        }
    }

    /// Puts a packet that is no straggler in order: hands to `out` what is in order now, each with
    /// how many packets before it are lost. False when it was there, or given up.
    pub(super) fn take(
        &mut self,
        packet: &Packet<'_>,
        out: &mut impl FnMut(&Packet<'_>, u32),
    ) -> bool {
        let sequence = packet.sequence();
        let next = *self.next.get_or_insert(sequence);
        if sequence < next || self.waiting.contains_key(&sequence) {
            return false;
        }
        if sequence == next {
            self.hand_out(packet, 0, out);
        } else {
            let kept = (packet.release(), packet.bytes().to_vec());
            self.waiting.insert(sequence, kept);
        }
        self.hand_out_waiting(out);
        true
    }

    /// Judges a packet by what its line brought before.
    pub(super) fn see(&mut self, line: u8, packet: &Packet<'_>) -> Age {
        let seen = Seen {
            sequence: packet.sequence(),
            sent_ns: packet.transact_time_ns(),
        };
        if seen.sent_ns < self.began_ns {
            return Age::Straggler;
        }
        let newest = &mut self.lines[usize::from(line).min(LINES - 1)];
        let Some(before) = newest.filter(|before| seen.sequence <= before.sequence) else {
            *newest = Some(seen);
            return Age::Current;
        };
        if seen.sent_ns <= before.sent_ns {
            // Overtaken on its own line: late, but of these numbers.
            return Age::Current;
        }
        *newest = Some(seen);
        if before.sent_ns < self.began_ns {
            // Another line was first to show this restart.
            return Age::Current;
        }
        self.began_ns = seen.sent_ns;
        self.next = None;
        self.waiting.clear();
        Age::Restart
    }

    fn hand_out(&mut self, packet: &Packet<'_>, lost: u32, out: &mut impl FnMut(&Packet<'_>, u32)) {
        self.next = Some(packet.sequence().saturating_add(1));
        out(packet, lost);
    }

    /// Hands out what waits no longer: it is next, or too many came behind what is missing.
    fn hand_out_waiting(&mut self, out: &mut impl FnMut(&Packet<'_>, u32)) {
        while let (Some(entry), Some(next)) = (self.waiting.first_entry(), self.next) {
            let lost = *entry.key() - next;
            if lost > 0 && self.waiting.len() <= self.patience {
                return;
            }
            let Some((_, (release, bytes))) = self.waiting.pop_first() else {
                return;
            };
            let packet = Packet::parse(&bytes, release).expect("only parsed packets are kept");
            self.hand_out(&packet, lost, out);
        }
    }
}
