//! Orders to the receive thread, in one queue: it looks for one once per pass.

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
    }
}
