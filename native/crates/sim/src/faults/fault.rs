//! What a fault does to one packet.

use std::collections::VecDeque;

use crate::lies::{Lie, Server};
use crate::random::{mix, unit};
use crate::{Planned, SimError};

/// Lines of a feed: A is 0, B is 1.
pub const LINE_COUNT: usize = 2;

/// Most ranges of a [`Fault::DropRanges`].
const MAX_RANGES: usize = 10_000;
/// Deepest reordering, packets.
const MAX_DEPTH: u32 = 1_024;
/// Longest delay: ten seconds.
const MAX_DELAY_NS: u64 = 10_000_000_000;

/// The lines a fault acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Line A only.
    A,
    /// Line B only.
    B,
    /// Both: the same packets on each.
    Both,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Packets get lost.
    Drop {
        /// Where.
        lines: Lines,
        /// Share of packets, 0 to 1.
        probability: f64,
    },
    /// Exactly these messages get lost; a packet is split around them.
    DropRanges {
        /// Where.
        lines: Lines,
        /// First and last sequence number of each range, inclusive.
        ranges: Vec<(u64, u64)>,
    },
    /// Nothing comes through, heartbeats included.
    Cut {
        /// Where.
        lines: Lines,
    },
    /// Packets come twice.
    Duplicate {
        /// Where.
        lines: Lines,
        /// Share of packets, 0 to 1.
        probability: f64,
    },
    /// Packets are overtaken by later ones.
    Reorder {
        /// Where.
        lines: Lines,
        /// Share of packets, 0 to 1.
        probability: f64,
        /// By how many packets, 1 to 1,024.
        depth: u32,
    },
    /// Everything comes later, in order.
    Delay {
        /// Where.
        lines: Lines,
        /// By how much, up to ten seconds.
        delay_ns: u64,
    },
    /// The re-request server does not answer.
    RequestStop,
    /// A server that messages can be recovered from lies.
    Lie {
        /// Which.
        server: Server,
        /// How.
        lie: Lie,
        /// Share of answers, 0 to 1.
        probability: f64,
        /// Delay of a slow answer, up to ten seconds.
        delay_ns: u64,
    },
}

/// A fault with its lease.
#[derive(Clone, Debug)]
pub(super) struct Armed {
    pub(super) id: u64,
    pub(super) fault: Fault,
    pub(super) seed: u64,
    pub(super) expires_ns: u64,
    pub(super) hits: u64,
}

impl Lines {
    /// Whether line 0 (A) or 1 (B) is meant.
    pub fn contains(self, line: u8) -> bool {
        match self {
            Self::A => line == 0,
            Self::B => line == 1,
            Self::Both => true,
        }
    }

    /// `A`, `B` or `AB`.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::Both => "AB",
        }
    }

    /// The inverse of [`Lines::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::A, Self::B, Self::Both]
            .into_iter()
            .find(|lines| lines.name() == name)
    }
}

impl Fault {
    /// The fault's name on the control socket: `drop`, `cut`, `duplicate`, `reorder`, `delay`,
    /// `request_stop`, `lie`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Drop { .. } | Self::DropRanges { .. } => "drop",
            Self::Cut { .. } => "cut",
            Self::Duplicate { .. } => "duplicate",
            Self::Reorder { .. } => "reorder",
            Self::Delay { .. } => "delay",
            Self::RequestStop => "request_stop",
            Self::Lie { .. } => "lie",
        }
    }

    /// Checks the arguments; ranges come back sorted.
    pub(super) fn checked(mut self) -> Result<Self, SimError> {
        let fault = self.name();
        let bad = |what: String| Err(SimError::BadFault { fault, what });
        match &mut self {
            Self::Drop { probability, .. }
            | Self::Duplicate { probability, .. }
            | Self::Reorder { probability, .. }
            | Self::Lie { probability, .. }
                if !(0.0..=1.0).contains(probability) =>
            {
                bad(format!("probability {probability} is not within 0 and 1"))
            }
            Self::Reorder { depth, .. } if !(1..=MAX_DEPTH).contains(depth) => bad(format!(
                "depth {depth} is not within 1 and {MAX_DEPTH} packets"
            )),
            Self::Delay { delay_ns, .. } if *delay_ns > MAX_DELAY_NS => {
                let (delay_us, max_us) = (*delay_ns / 1_000, MAX_DELAY_NS / 1_000);
                bad(format!("delay_us {delay_us} is more than {max_us}"))
            }
            Self::Lie { delay_ns, .. } if *delay_ns > MAX_DELAY_NS => {
                let (delay_ms, max_ms) = (*delay_ns / 1_000_000, MAX_DELAY_NS / 1_000_000);
                bad(format!("delay_ms {delay_ms} is more than {max_ms}"))
            }
            Self::DropRanges { ranges, .. } => {
                if ranges.is_empty() || ranges.len() > MAX_RANGES {
                    return bad(format!(
                        "{} ranges; 1 to {MAX_RANGES} may be given",
                        ranges.len()
                    ));
                }
                if let Some((from, to)) = ranges.iter().find(|(from, to)| *from == 0 || from > to) {
                    return bad(format!("range [{from}, {to}] is not 1 <= from <= to"));
                }
                ranges.sort_unstable();
                Ok(self)
            }
            _ => Ok(self),
        }
    }

    fn lines(&self) -> Option<Lines> {
        match self {
            Self::Drop { lines, .. }
            | Self::DropRanges { lines, .. }
            | Self::Cut { lines }
            | Self::Duplicate { lines, .. }
            | Self::Reorder { lines, .. }
            | Self::Delay { lines, .. } => Some(*lines),
            Self::RequestStop | Self::Lie { .. } => None,
        }
    }
}

impl Armed {
    /// Whether the whole packet gets lost.
    pub(super) fn drops(&mut self, line: u8, packet: Planned) -> bool {
        let hit = self.concerns(line)
            && match self.fault {
                Fault::Cut { .. } => true,
                Fault::Drop { probability, .. } => self.strikes(packet, probability),
                _ => false,
            };
        self.count(hit)
    }

    /// Replaces each packet by what is left of it without the dropped messages.
    pub(super) fn split(&mut self, line: u8, packets: &mut VecDeque<Planned>) {
        if !self.concerns(line) {
            return;
        }
        let Fault::DropRanges { ranges, .. } = &self.fault else {
            return;
        };
        let mut hit = false;
        for _ in 0..packets.len() {
            let Some(packet) = packets.pop_front() else {
                break;
            };
            hit |= split_packet(packet, ranges, packets);
        }
        self.count(hit);
    }

    /// By how many packets this one is to be overtaken.
    pub(super) fn reorders(&mut self, line: u8, packet: Planned) -> Option<u32> {
        let Fault::Reorder {
            probability, depth, ..
        } = self.fault
        else {
            return None;
        };
        let hit = self.concerns(line) && self.strikes(packet, probability);
        self.count(hit).then_some(depth)
    }

    /// Whether the packet comes twice.
    pub(super) fn duplicates(&mut self, line: u8, packet: Planned) -> bool {
        let Fault::Duplicate { probability, .. } = self.fault else {
            return false;
        };
        let hit = self.concerns(line) && self.strikes(packet, probability);
        self.count(hit)
    }

    /// By how much packets of the line are late.
    pub(super) fn delay_ns(&mut self, line: u8) -> u64 {
        let Fault::Delay { delay_ns, .. } = self.fault else {
            return 0;
        };
        let hit = self.concerns(line);
        if self.count(hit) { delay_ns } else { 0 }
    }

    fn concerns(&self, line: u8) -> bool {
        self.fault.lines().is_some_and(|lines| lines.contains(line))
    }

    /// The fault's lot for a packet with messages: the same whenever it is drawn. The seed is
    /// mixed with kind and lines, so that faults armed with one seed do not hit alike.
    fn strikes(&self, packet: Planned, probability: f64) -> bool {
        let kind = match self.fault {
            Fault::Drop { .. } => 1,
            Fault::Duplicate { .. } => 2,
            _ => 3,
        };
        let lines = self.fault.lines().map_or(0, |lines| lines as u64);
        let seed = mix(self.seed, 4 * kind + lines);
        packet.count() > 0 && unit(mix(seed, packet.first_sequence)) < probability
    }

    fn count(&mut self, hit: bool) -> bool {
        self.hits += u64::from(hit);
        hit
    }
}

/// Appends what is left of `packet` outside the sorted `ranges`; true when something was cut out.
fn split_packet(packet: Planned, ranges: &[(u64, u64)], out: &mut VecDeque<Planned>) -> bool {
    let (mut from, end) = (packet.first_sequence, packet.next_sequence());
    if packet.count() == 0 {
        out.push_back(packet);
        return false;
    }
    let mut hit = false;
    let mut keep = |from: u64, until: u64| {
        // A part is not longer than the packet, so its count fits.
        if let Ok(count @ 1..) = u16::try_from(until.saturating_sub(from)) {
            out.push_back(Planned::data(from, count));
        }
    };
    for &(first, last) in ranges {
        if last < from || first >= end {
            continue;
        }
        hit = true;
        keep(from, first);
        from = last.saturating_add(1);
    }
    keep(from, end);
    hit
}
