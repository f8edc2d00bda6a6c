//! The packets of the snapshot channel in order, out of up to eight lines.
//!
//! A number that comes again is the other line's copy. A number that is missing is waited for
//! until so many packets behind it have come; then it is lost. Numbers begin again when a line
//! goes back and its TransactTime does not; a packet older than that restart is a straggler. One
//! packet alone claims that, and waits: it is believed when the line goes on behind it, or when
//! another line claims a restart too. So a forged one ends nothing.

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
    /// It claims a restart that nothing has confirmed yet; it is kept until then.
    Claim,
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
    /// The newest claim of a restart.
    claim: Option<Claim>,
}

/// A packet that claims a restart.
#[derive(Debug)]
struct Claim {
    line: usize,
    seen: Seen,
    kept: (Release, Vec<u8>),
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
            claim: None,
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
        let line = usize::from(line).min(LINES - 1);
        let newest = &mut self.lines[line];
        let Some(before) = newest.filter(|before| seen.sequence <= before.sequence) else {
            *newest = Some(seen);
            let is_over = |claim: &Claim| claim.line == line && seen.sent_ns >= claim.seen.sent_ns;
            self.claim = self.claim.take().filter(|claim| !is_over(claim));
            return Age::Current;
        };
        if seen.sent_ns <= before.sent_ns {
            // Overtaken on its own line: late, but of these numbers.
            return Age::Current;
        }
        if before.sent_ns < self.began_ns {
            // Another line was first to show this restart.
            *newest = Some(seen);
            return Age::Current;
        }
        self.on_claim(line, seen, packet)
    }

    /// A packet that claims a restart: it begins when this is the second one that does.
    fn on_claim(&mut self, line: usize, seen: Seen, packet: &Packet<'_>) -> Age {
        let confirms = |claim: &Claim| claim.line != line || seen.follows(&claim.seen);
        let Some(first) = self.claim.take().filter(confirms) else {
            let kept = (packet.release(), packet.bytes().to_vec());
            self.claim = Some(Claim { line, seen, kept });
            return Age::Claim;
        };
        // A forged one may say a time that no honest packet reaches.
        self.began_ns = seen.sent_ns.min(first.seen.sent_ns);
        self.lines[line] = Some(seen);
        self.next = None;
        self.waiting.clear();
        if first.seen.sequence < seen.sequence {
            self.next = Some(first.seen.sequence);
            self.waiting.insert(first.seen.sequence, first.kept);
        }
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

impl Seen {
    fn follows(&self, other: &Self) -> bool {
        self.sequence > other.sequence && self.sent_ns >= other.sent_ns
    }
}
