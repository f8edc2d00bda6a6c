//! The capture thread: sleeps, cuts what is due and what is ordered. A slow or full disk holds up
//! nobody else; a cut that fails is counted and logged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rtrb::Consumer;
use tickdeck_net::clock::{monotonic_ns, realtime_ns};

use super::cutter::{Cut, CutError, Cutter};
use super::files::Occasion;
use super::order::CutOrder;
use super::plan::{GapNotice, Plan, Span};
use crate::rx::metrics::CaptureMetrics;

/// How often gaps are looked for; an order wakes the thread at once.
const NAP: Duration = Duration::from_millis(20);
/// Niceness: everything else of this process goes first.
const NICE: i32 = 10;

pub(in crate::rx) struct CaptureThread {
    pub(super) cutter: Cutter,
    pub(super) plan: Plan,
    pub(super) gaps: Consumer<GapNotice>,
    pub(super) orders: mpsc::Receiver<CutOrder>,
    /// Gaps that found the queue full, counted by the receive thread.
    pub(super) unnoticed: Arc<AtomicU64>,
    pub(super) metrics: CaptureMetrics,
}

impl CaptureThread {
    /// Runs until the stop; gaps that wait for what follows them are cut then, as they are.
    pub(in crate::rx) fn run(mut self, stop: &AtomicBool) {
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::warn!(%error, "the capture thread runs at the priority of the others");
        }
        loop {
            // Read before the gaps: those that were told before the stop are then taken too.
            let is_end = stop.load(Ordering::Acquire);
            self.take_notice();
            self.cut_due(is_end);
            if is_end {
                return;
            }
            match self.orders.recv_timeout(NAP) {
                Ok(order) => self.obey(&order),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody will order any more; gaps still come.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(NAP),
            }
        }
    }

    fn take_notice(&mut self) {
        let mut skipped = self.unnoticed.swap(0, Ordering::Relaxed);
        while let Ok(gap) = self.gaps.pop() {
            skipped += u64::from(!self.plan.note(gap));
        }
        self.metrics.skipped.add(skipped);
    }

    fn cut_due(&mut self, is_end: bool) {
        while let Some((gap, span)) = self.plan.next_due(monotonic_ns(), is_end) {
            let comment = format!(
                "gap {}: messages {} to {} came on neither line; seen at {} (UTC nanoseconds)",
                gap.id, gap.first, gap.last, gap.seen_ns
            );
            match self.cut(span, Occasion::Gap(gap.id), &comment) {
                Ok(cut) => tracing::info!(
                    gap = gap.id,
                    path = %cut.path.display(),
                    packets = cut.packets,
                    lapped = cut.lapped,
                    "capture cut around a gap"
                ),
                Err(error) => tracing::error!(gap = gap.id, %error, "no capture of a gap"),
            }
        }
    }

    fn obey(&mut self, order: &CutOrder) {
        let comment = match order.reason.as_str() {
            "" => "cut on demand".to_owned(),
            reason => format!("cut on demand: {reason}"),
        };
        let result = self.cut(order.span, Occasion::Order, &comment);
        if order.reply.send(result).is_err() {
            tracing::warn!("the operator who ordered a capture did not wait for the answer");
        }
    }

    fn cut(&mut self, span: Span, occasion: Occasion, comment: &str) -> Result<Cut, CutError> {
        let result = self.cutter.cut(span, occasion, comment, realtime_ns());
        match &result {
            Ok(cut) => {
                self.metrics.cuts.add(1);
                self.metrics.lapped.add(cut.lapped);
            }
            Err(CutError::Io { .. }) => self.metrics.errors.add(1),
            // Asked for a time of which nothing is there: the answer, no trouble.
            Err(CutError::Empty(_)) => {}
        }
        result
    }
}
