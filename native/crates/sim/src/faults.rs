//! Faults of the lines and lies of the servers, each under a lease.
//!
//! A fault is armed with a seed and a lease; when the monotonic time passed in reaches the end of
//! the lease it ends by itself, so a drill that dies leaves nothing behind.
//!
//! Whether a packet is hit depends on the fault's seed and the packet's first sequence number
//! only, not on time or on what else is armed: a run replays from its seed. A fault on both lines
//! therefore hits the same messages on both, which makes a real gap; two faults on one line each
//! hit independently. Dropping, duplicating and reordering concern packets with messages; cut and
//! delay concern heartbeats and ends of session as well.
//!
//! A packet goes through the stages cut, drop, drop of exact ranges (which splits it), reorder,
//! duplicate, delay. A line is first in, first out unless it is told to reorder, so the end of a
//! delay does not reorder either.

use std::collections::VecDeque;

use crate::lies::ArmedLie;
use crate::{Planned, SimError};

mod fault;
mod line;

pub use fault::{Fault, LINE_COUNT, Lines};
pub use line::LineCounters;

use fault::Armed;
use line::Line;

/// Longest lease: one hour.
pub const MAX_LEASE_NS: u64 = 3_600_000_000_000;

/// Most faults armed at a time.
pub const MAX_FAULTS: usize = 64;

/// Applies the armed faults to the packets of both lines.
///
/// `offer` what is to be sent, and `poll` for what was held back; both hand over what goes out now.
#[derive(Clone, Debug, Default)]
pub struct FaultEngine {
    faults: Vec<Armed>,
    lines: [Line; LINE_COUNT],
    last_id: u64,
    /// Earliest end of a lease; `u64::MAX` without faults.
    expires_ns: u64,
    scratch: VecDeque<Planned>,
}

/// An armed fault, to be shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultView<'a> {
    /// Its id, from 1, never reused.
    pub id: u64,
    /// What it does.
    pub fault: &'a Fault,
    /// Its seed.
    pub seed: u64,
    /// Time left until it ends by itself, ns.
    pub remaining_ns: u64,
    /// Packets or answers it hit so far; of a stop, the server counts the requests.
    pub hits: u64,
}

impl FaultEngine {
    /// An engine without faults: everything passes.
    pub fn new() -> Self {
        Self {
            expires_ns: u64::MAX,
            ..Self::default()
        }
    }

    /// Arms a fault and returns its id.
    ///
    /// # Errors
    /// [`SimError::BadFault`], [`SimError::BadLease`], [`SimError::TooManyFaults`].
    pub fn arm(
        &mut self,
        fault: Fault,
        seed: u64,
        lease_ns: u64,
        now_ns: u64,
    ) -> Result<u64, SimError> {
        self.expire(now_ns);
        let fault = fault.checked()?;
        check_lease(lease_ns)?;
        if self.faults.len() == MAX_FAULTS {
            return Err(SimError::TooManyFaults { limit: MAX_FAULTS });
        }
        self.last_id += 1;
        let expires_ns = now_ns.saturating_add(lease_ns);
        self.faults.push(Armed {
            id: self.last_id,
            fault,
            seed,
            expires_ns,
            hits: 0,
        });
        self.find_next_expiry();
        Ok(self.last_id)
    }

    /// Gives a fault a new lease from now on.
    ///
    /// # Errors
    /// [`SimError::NoSuchFault`] also when its lease has just ended; [`SimError::BadLease`].
    pub fn renew(&mut self, id: u64, lease_ns: u64, now_ns: u64) -> Result<(), SimError> {
        self.expire(now_ns);
        check_lease(lease_ns)?;
        let armed = self.faults.iter_mut().find(|armed| armed.id == id);
        armed.ok_or(SimError::NoSuchFault { id })?.expires_ns = now_ns.saturating_add(lease_ns);
        self.find_next_expiry();
        Ok(())
    }

    /// Ends a fault.
    ///
    /// # Errors
    /// [`SimError::NoSuchFault`].
    pub fn clear(&mut self, id: u64) -> Result<(), SimError> {
        let index = self.faults.iter().position(|armed| armed.id == id);
        self.faults
            .remove(index.ok_or(SimError::NoSuchFault { id })?);
        self.find_next_expiry();
        Ok(())
    }

    /// Ends all faults and returns how many there were.
    pub fn clear_all(&mut self) -> usize {
        let count = self.faults.len();
        self.faults.clear();
        self.find_next_expiry();
        count
    }

    /// The faults that are armed now.
    pub fn armed(&mut self, now_ns: u64) -> impl ExactSizeIterator<Item = FaultView<'_>> {
        self.expire(now_ns);
        self.faults.iter().map(move |armed| FaultView {
            id: armed.id,
            fault: &armed.fault,
            seed: armed.seed,
            remaining_ns: armed.expires_ns.saturating_sub(now_ns),
            hits: armed.hits,
        })
    }

    /// Whether the re-request server must not answer now.
    pub fn requests_stopped(&mut self, now_ns: u64) -> bool {
        self.expire(now_ns);
        self.faults
            .iter()
            .any(|armed| armed.fault == Fault::RequestStop)
    }

    /// The lies that are to be told now, the one armed first in front.
    pub fn lies(&mut self, now_ns: u64) -> impl Iterator<Item = ArmedLie> {
        self.expire(now_ns);
        self.faults.iter().filter_map(|armed| match armed.fault {
            Fault::Lie {
                server,
                lie,
                probability,
                delay_ns,
            } => Some(ArmedLie {
                id: armed.id,
                server,
                lie,
                probability,
                delay_ns,
                seed: armed.seed,
                expires_ns: armed.expires_ns,
            }),
            _ => None,
        })
    }

    /// A server told the lie of this fault once more; forgotten when the lease is over.
    pub fn note_hit(&mut self, id: u64) {
        if let Some(armed) = self.faults.iter_mut().find(|armed| armed.id == id) {
            armed.hits += 1;
        }
    }

    /// Takes a packet of line 0 (A) or 1 (B); `emit` gets what goes out now, in order.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn offer(
        &mut self,
        line: u8,
        packet: Planned,
        now_ns: u64,
        emit: &mut impl FnMut(Planned),
    ) {
        self.expire(now_ns);
        let state = &mut self.lines[usize::from(line)];
        if self.faults.is_empty() && state.is_empty() {
            emit(packet);
            return;
        }
        self.scratch.clear();
        if !self
            .faults
            .iter_mut()
            .any(|armed| armed.drops(line, packet))
        {
            self.scratch.push_back(packet);
            for armed in &mut self.faults {
                armed.split(line, &mut self.scratch);
            }
        }
        state.note_dropped(packet, &self.scratch);
        for &part in &self.scratch {
            let reorder = self
                .faults
                .iter_mut()
                .find_map(|armed| armed.reorders(line, part));
            let twice = self
                .faults
                .iter_mut()
                .any(|armed| armed.duplicates(line, part));
            let delay_ns = self
                .faults
                .iter_mut()
                .map(|armed| armed.delay_ns(line))
                .sum();
            match reorder {
                Some(depth) => state.hold_back(part, twice, depth, delay_ns, now_ns, emit),
                None => state.pass(part, twice, delay_ns, now_ns, emit),
            }
        }
    }

    /// Hands over what was held back on the line and goes out now.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn poll(&mut self, line: u8, now_ns: u64, emit: &mut impl FnMut(Planned)) {
        self.expire(now_ns);
        self.lines[usize::from(line)].poll(now_ns, emit);
    }

    /// When `poll` has something to do next, monotonic; `None` while nothing is held back.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.lines.iter().filter_map(Line::next_deadline_ns).min()
    }

    /// What happened on a line so far.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn counters(&self, line: u8) -> &LineCounters {
        self.lines[usize::from(line)].counters()
    }

    fn expire(&mut self, now_ns: u64) {
        if now_ns >= self.expires_ns {
            self.faults.retain(|armed| now_ns < armed.expires_ns);
            self.find_next_expiry();
        }
    }

    fn find_next_expiry(&mut self) {
        let ends = self.faults.iter().map(|armed| armed.expires_ns);
        self.expires_ns = ends.min().unwrap_or(u64::MAX);
    }
}

fn check_lease(lease_ns: u64) -> Result<(), SimError> {
    if lease_ns == 0 || lease_ns > MAX_LEASE_NS {
        let (lease_ms, max_ms) = (lease_ns / 1_000_000, MAX_LEASE_NS / 1_000_000);
        return Err(SimError::BadLease { lease_ms, max_ms });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
