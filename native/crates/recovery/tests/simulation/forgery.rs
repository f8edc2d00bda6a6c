//! Packets on the lines that the venue never sent.

use tickdeck_wire::moldudp64::{Packet, Session, end_of_session, heartbeat};

use crate::check::wrong;
use crate::plan::MAX_JUMP;
use crate::servers::{packet, packet_of};
use crate::world::World;

impl World {
    pub(crate) fn maybe_forge(&mut self, line: u8, bytes: &[u8]) {
        if self.random.chance(self.plan.forgery_permille) {
            self.forge(line);
        }
        if self.random.chance(self.plan.conflict_permille) {
            self.contradict(line, bytes);
        }
    }

    /// A packet of the current session that nobody sent: far ahead, or an end that is none. One
    /// far ahead comes only while no other is unanswered by its line, as two agree.
    fn forge(&mut self, line: u8) {
        let Some(session) = self.arbiter.session() else {
            return;
        };
        if self.random.chance(500) {
            self.forge_end(line, session);
        } else if self.forged_on.is_none() {
            let ahead = [1_000 + 2 * MAX_JUMP, 1 << 40, 1 << 61, u64::MAX - 200];
            let far = self.random.pick(&ahead) + self.random.between(0, 100);
            let bytes = match self.random.between(0, 2) {
                0 => heartbeat(session, far).to_vec(),
                1 => end_of_session(session, far).to_vec(),
                _ => packet(session, far, 3),
            };
            self.report.forged_jumps += 1;
            self.arrive(line, &bytes);
            self.forged_on = Some(line);
        }
    }

    /// Of the last session only: one that another follows may never be heard to go on.
    fn forge_end(&mut self, line: u8, session: Session) {
        let last = self.plan.parts.len() - 1;
        if self.part != last || session != self.plan.parts[last].session {
            return;
        }
        let known = self.checked.streams.get(&session).map_or(1, |s| s.next);
        let end = self.random.between(known.saturating_sub(5).max(1), known);
        self.report.forged_ends += 1;
        self.arrive(line, &end_of_session(session, end));
    }

    /// The line repeats what was delivered already, with other bytes.
    fn contradict(&mut self, line: u8, bytes: &[u8]) {
        let packet = Packet::parse(bytes).expect("the venue's packets are whole");
        let session = packet.session();
        let is_current = self.arbiter.session() == Some(session);
        if packet.count() == 0
            || !is_current
            || packet.next_sequence() > self.arbiter.next_sequence()
        {
            return;
        }
        let count = u64::from(packet.count());
        let forged = packet_of(session, packet.first_sequence(), count, |sequence| {
            wrong(session, sequence)
        });
        self.report.forged_messages += count;
        let seen = |world: &Self| {
            let counters = world.arbiter.counters();
            counters.conflicts + counters.duplicates_uncompared + counters.stale
        };
        let before = seen(self);
        self.arrive(line, &forged);
        assert_eq!(seen(self), before + count, "other bytes are never a copy");
    }
}
