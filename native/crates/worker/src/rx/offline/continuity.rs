//! Whether each instrument's own numbers go on in the merged stream: a proof of the merge that does
//! not rest on the packets' numbers.

use std::collections::BTreeMap;

use tickdeck_wire::cme::Packet;

/// RptSeq of the instruments of a CME MDP 3.0 channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Continuity {
    last: BTreeMap<i32, u32>,
    /// Updates seen.
    pub(super) updates: u64,
    /// Updates whose number was not the one before plus 1.
    pub(super) jumps: u64,
    /// Messages that are not what their template says.
    pub(super) malformed: u64,
}

impl Continuity {
    /// Instruments seen.
    pub(super) fn instruments(&self) -> usize {
        self.last.len()
    }

    /// Takes the next packet of the merged stream.
    pub(super) fn take(&mut self, packet: &[u8]) {
        let Ok(packet) = Packet::parse(packet) else {
            return;
        };
        if packet.resets_channel() {
            // RptSeq begins again; nobody says with which message of the packet.
            self.last.clear();
            return;
        }
        for message in packet.messages() {
            let Ok(updates) = message.rpt_seqs() else {
                self.malformed += 1;
                continue;
            };
            for update in updates {
                self.updates += 1;
                let before = self.last.insert(update.security_id, update.rpt_seq);
                let goes_on = before.is_none_or(|last| last.checked_add(1) == Some(update.rpt_seq));
                self.jumps += u64::from(!goes_on);
            }
        }
    }
}
