//! Orders to the receive thread, in one queue: it looks for one once per pass.

use std::sync::atomic::Ordering;

use tickdeck_wire::record::SessionEventKind;

use super::checkpoints::CheckpointOrder;
use super::gap_orders::GapOrder;
use super::merge::Merge;

/// What the receive thread is asked to do beside its work.
pub(super) enum MergeOrder {
    /// An operator's word on a gap.
    Gap(GapOrder),
    /// A checkpoint of the books for the stream.
    Checkpoint(CheckpointOrder),
}

impl Merge {
    /// Carries out what was ordered; one load when there is nothing.
    #[inline]
    pub(super) fn take_orders(&mut self, now_ns: u64) {
        while let Ok(order) = self.orders.pop() {
            match order {
                MergeOrder::Gap(order) => self.carry_out(&order, now_ns),
                MergeOrder::Checkpoint(order) => self.publish_checkpoint(&order),
            }
        }
        if self.session_wanted.load(Ordering::Relaxed) {
            self.publish_session_again();
        }
    }

    /// Says again where the session stands, so that older records may be pruned.
    ///
    /// Not while something is missing or a snapshot is on its way: readers take the record for a new
    /// incarnation of this worker, which announces its gaps anew and breaks off a snapshot. It waits
    /// until then.
    #[cold]
    fn publish_session_again(&mut self) {
        let is_quiet =
            !self.is_loading && self.stop_target.is_none() && self.arbiter.gaps().next().is_none();
        if !is_quiet || self.arbiter.stopped_at().is_some() {
            return;
        }
        self.session_wanted.store(false, Ordering::Relaxed);
        if let Some(session) = self.arbiter.session() {
            let kind = match self.arbiter.session_has_ended() {
                true => SessionEventKind::Ended,
                false => SessionEventKind::Resumed,
            };
            let next_sequence = self.arbiter.next_sequence();
            self.publisher.publish_session(kind, session, next_sequence);
        }
    }
}
