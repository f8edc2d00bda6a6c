//! The receive thread: polls both lines, merges in place, writes the ring; waits for nobody.
//!
//! One pass takes a batch of each line, then what the recovery sent, then what time asks for.
//! With `wait = "block"` it then sleeps in the kernel until a packet, an answer or the next
//! deadline, unless a batch was full; with `"spin"` it begins again at once. After warm-up a packet
//! costs no allocation, no lock and no system call but its share of the pass's.

use std::os::fd::AsFd;
use std::sync::mpsc;
use std::time::Duration;

use tickdeck_net::clock::monotonic_ns;
use tickdeck_net::{Datagram, NetError, PathCounters, Receiver, WaitSet};
use tickdeck_stats::Header;

use super::failure::net_failure;
use super::ladder::own::path_losses;
use super::lines::OpenLines;
use super::merge::{ANSWERS_PER_PASS, Merge};
use crate::exit::Failure;
use crate::lifecycle::StopFlag;
use crate::spec::Wait;

/// Longest sleep, so that the progress stamp grows while nothing comes.
const LONGEST_WAIT_NS: u64 = 50_000_000;
/// How often the kernel is asked for its drops.
const DROPS_INTERVAL_NS: u64 = 1_000_000_000;
/// How long that waits for the end of a backlog.
const DROPS_PATIENCE_NS: u64 = 5_000_000_000;
/// The state `rx_path` of a line that receives nothing.
const NO_PATH: u64 = 0;
/// How long what comes beside a bypass path may wait while that path is busy.
const BESIDE_INTERVAL_NS: u64 = 1_000_000;
/// How old the numbers in the stats file may be while nothing comes.
const SHOW_INTERVAL_NS: u64 = 1_000_000;

pub(super) struct ReceiveThread {
    pub(super) lines: Vec<OpenLines>,
    pub(super) merge: Merge,
    pub(super) header: Header,
    pub(super) wait: Wait,
    pub(super) cpu: Option<usize>,
    pub(super) stop: StopFlag,
    /// Most packets of one receive call.
    pub(super) batch: usize,
    /// The last wait ended because something could be read.
    pub(super) woken: bool,
    /// When the numbers are due to be shown again, monotonic ns.
    pub(super) show_due_ns: u64,
    /// When the kernel sockets beside bypass paths are due, monotonic ns.
    pub(super) beside_due_ns: u64,
}

impl ReceiveThread {
    /// Runs until the stop or a failure. Leaves the groups when it returns. Returns the sequence
    /// behind the last record of the ring, and why the worker must end, if it must.
    pub(super) fn run(mut self, started: &mpsc::Sender<()>) -> (u64, Result<(), Failure>) {
        let result = self.receive_until_stopped(started);
        self.merge.publish_rows();
        self.merge.show(monotonic_ns());
        (self.merge.publisher.next_seq(), result)
    }

    fn receive_until_stopped(&mut self, started: &mpsc::Sender<()>) -> Result<(), Failure> {
        if let Some(core) = self.cpu {
            tickdeck_net::pin_current_thread(core).map_err(|error| net_failure(&error))?;
        }
        // The base of the first gap: read before the first packet is taken.
        self.show_drops().map_err(|error| net_failure(&error))?;
        // The main thread waits for this; if it is gone, the stop is set.
        if started.send(()).is_err() {
            return Ok(());
        }
        let mut drops_due_ns = monotonic_ns() + DROPS_INTERVAL_NS;
        while !self.stop.is_set() {
            let now_ns = monotonic_ns();
            let is_behind = self.pass(now_ns).map_err(|error| net_failure(&error))?;
            if let Some(failure) = self.merge.failure.take() {
                return Err(failure);
            }
            self.merge.take_verdicts();
            self.merge.take_orders(now_ns);
            // Between the passes of a backlog the counters may be ahead of the packets, and a
            // reading from before a loss would not be from before its gap is seen.
            let is_due = now_ns >= drops_due_ns
                && (!is_behind || now_ns >= drops_due_ns + DROPS_PATIENCE_NS);
            if is_due || self.merge.asker.wants_counts(now_ns) {
                self.show_drops().map_err(|error| net_failure(&error))?;
                drops_due_ns = now_ns + DROPS_INTERVAL_NS;
            }
            match self.wait {
                Wait::Spin => std::hint::spin_loop(),
                Wait::Block if is_behind => {}
                Wait::Block => self.sleep(now_ns).map_err(|error| net_failure(&error))?,
            }
        }
        Ok(())
    }

    /// One batch of each line, then answers, then deadlines. Returns whether more is waiting.
    pub(super) fn pass(&mut self, now_ns: u64) -> Result<bool, NetError> {
        let merge = &mut self.merge;
        let (mut packets, mut is_behind) = (0, false);
        // A kernel socket beside a bypass costs a system call, so it is asked when a wait ended and
        // the bypass had nothing, not in every pass; but however busy the bypass is, what came beside
        // it does not wait for longer.
        let is_beside_due = now_ns >= self.beside_due_ns;
        let mut is_beside_behind = false;
        for lines in self.lines.iter_mut().filter(|lines| !lines.is_gone) {
            let mut handler = |datagram: Datagram<'_>| {
                merge.on_datagram(&datagram, now_ns);
                // Behind the merge, so that it adds nothing to this packet's own latency.
                merge.capture(&datagram);
            };
            let count = lines.receiver.receive(&mut handler)?;
            is_behind |= count >= self.batch;
            packets += count;
            if is_beside_due || (self.woken && count == 0) {
                match lines.receiver.receive_beside(&mut handler) {
                    Ok(count) => {
                        is_beside_behind |= count >= self.batch;
                        packets += count;
                    }
                    Err(error) => lines.lose(error)?,
                }
            }
        }
        if is_beside_due && !is_beside_behind {
            self.beside_due_ns = now_ns + BESIDE_INTERVAL_NS;
        }
        is_behind |= is_beside_behind;
        if std::mem::take(&mut self.woken) && packets == 0 {
            // No packet ended the wait, so it was the recovery. Cleared before its queue is looked
            // at, so that no wake is lost; not cleared else, because that is a system call.
            merge.clear_wake();
        }
        let answers = merge.take_feedback(now_ns);
        is_behind |= answers == ANSWERS_PER_PASS;
        merge.poll(now_ns);
        merge.publisher.settle_latencies();
        if packets + answers > 0 || now_ns >= self.show_due_ns {
            merge.show(now_ns);
            self.show_due_ns = now_ns + SHOW_INTERVAL_NS;
        }
        if packets > 0 {
            self.header.last_packet(now_ns);
        }
        self.header.progress();
        Ok(is_behind)
    }

    /// Sleeps until something can be read or the next deadline.
    fn sleep(&mut self, now_ns: u64) -> Result<(), NetError> {
        let deadline_ns = self.merge.arbiter.next_deadline_ns().unwrap_or(u64::MAX);
        let wait_ns = deadline_ns.saturating_sub(now_ns).min(LONGEST_WAIT_NS);
        let timeout = Duration::from_nanos(wait_ns);
        let mut set = WaitSet::default();
        for lines in self.lines.iter().filter(|lines| !lines.is_gone) {
            lines.receiver.register(&mut set)?;
        }
        if let Some(port) = &self.merge.port {
            set.add(port.wake().as_fd())?;
        }
        self.woken = set.wait(timeout)?;
        Ok(())
    }

    /// Asks the receivers for their counters and shows them. A line whose interface is gone has no
    /// path from then on.
    pub(super) fn show_drops(&mut self) -> Result<(), NetError> {
        let mut sum = PathCounters::default();
        let receivers = self.lines.iter_mut().zip(&self.merge.receivers);
        for (number, (lines, metrics)) in (1..).zip(receivers) {
            if !lines.is_gone {
                match lines.receiver.counters() {
                    Ok(counters) => lines.counted = counters,
                    Err(error) => lines.lose(error)?,
                }
            }
            let counters = lines.counted;
            let path = if lines.is_gone {
                NO_PATH
            } else {
                lines.receiver.rung() as u64
            };
            sum = sum.plus(&counters);
            for (counter, lost) in metrics.iter().zip(path_losses(&counters)) {
                counter.set(lost);
            }
            for line in &lines.numbers {
                let metrics = &self.merge.lines[usize::from(*line)];
                metrics.path.set(path);
                metrics.receiver.set(number);
            }
            // Of a path that several lines share the kernel cannot tell whose packet was lost.
            if let [line] = lines.numbers[..] {
                let drops = &self.merge.lines[usize::from(line)].kernel_drops;
                drops.set(counters.lost());
            }
        }
        self.merge.tell_counts(monotonic_ns(), sum);
        Ok(())
    }
}
