//! The measurements of one contender in one round.

use std::thread;
use std::time::Duration;

use tickdeck_net::PathCounters;
use tickdeck_net::clock::{monotonic_ns, realtime_ns, thread_cpu_ns};

use super::contender::{Contender, Setup, Stage, Task};
use super::merged::{BenchRing, Merged};
use super::path::{Path, Sink};
use super::sender::{Order, Sender, Sent, sent_ns_of, sequence_of};
use super::{Error, Wait};

/// Everything of one contender in one round.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) full: FlowFigures,
    pub(crate) paced: Option<FlowFigures>,
    pub(crate) drain: Option<DrainFigures>,
    pub(crate) latency: Option<LatencyFigures>,
}

/// Traffic over a time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Flow {
    /// As fast as the sender can.
    Full(Duration),
    /// So many packets a second.
    Paced(u64, Duration),
}

/// Of a run of traffic.
#[derive(Debug, Clone)]
pub(crate) struct FlowFigures {
    pub(crate) sent: Sent,
    pub(crate) received: u64,
    pub(crate) lost: Lost,
    /// Processor time of the reader's thread, user and system.
    pub(crate) cpu_ns: u64,
    /// How often the reader slept.
    pub(crate) waits: u64,
}

impl FlowFigures {
    pub(crate) fn cpu_ns_per_packet(&self) -> f64 {
        self.cpu_ns as f64 / self.received.max(1) as f64
    }
}

/// Of bursts that were queued and then drained.
#[derive(Debug, Clone)]
pub(crate) struct DrainFigures {
    pub(crate) received: u64,
    pub(crate) lost: Lost,
    /// From waking up to the end of the last batch.
    pub(crate) wall_ns: u64,
    /// The reader's processor time of the same.
    pub(crate) cpu_ns: u64,
}

impl DrainFigures {
    pub(crate) fn wall_ns_per_packet(&self) -> f64 {
        self.wall_ns as f64 / self.received.max(1) as f64
    }

    pub(crate) fn cpu_ns_per_packet(&self) -> f64 {
        self.cpu_ns as f64 / self.received.max(1) as f64
    }
}

/// One-way, from before the send call to the handler.
#[derive(Debug, Clone)]
pub(crate) struct LatencyFigures {
    pub(crate) sent: Sent,
    pub(crate) received: u64,
    pub(crate) lost: Lost,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p999_ns: u64,
    pub(crate) max_ns: u64,
}

/// Packets that did not arrive, by layer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lost {
    /// The veth pair.
    pub(crate) wire: u64,
    /// Everything behind it.
    pub(crate) path: PathCounters,
}

impl Lost {
    pub(crate) fn packets(&self) -> u64 {
        self.wire + self.path.lost()
    }
}

/// Lets traffic flow and takes it.
pub(crate) fn flow(
    contender: Contender,
    setup: &Setup,
    sender: &Sender,
    ring: &mut BenchRing,
    kind: Flow,
    wait: Wait,
) -> Result<FlowFigures, Error> {
    let order = match kind {
        Flow::Full(duration) => Order::Full(duration),
        Flow::Paced(rate, duration) => Order::Paced(rate, duration),
    };
    let run = FlowRun {
        sender,
        ring,
        order,
        wait,
        stage: contender.stage,
    };
    let (figures, fault) = setup.with(contender, run)?;
    let accounted = accounted(&figures.sent, figures.received, &figures.lost);
    match fault.or(accounted) {
        None => Ok(figures),
        Some(text) => Err(wrong(contender, text)),
    }
}

/// Queues bursts while the reader sleeps, then drains each.
pub(crate) fn drain(
    contender: Contender,
    setup: &Setup,
    sender: &Sender,
    ring: &mut BenchRing,
    packets: u64,
    bursts: u64,
) -> Result<DrainFigures, Error> {
    let run = DrainRun {
        sender,
        ring,
        packets,
        bursts,
        stage: contender.stage,
    };
    let (figures, fault) = setup.with(contender, run)?;
    match fault {
        None => Ok(figures),
        Some(text) => Err(wrong(contender, text)),
    }
}

/// A spinning reader and a sender that spins on the clock.
pub(crate) fn latency(
    contender: Contender,
    setup: &Setup,
    sender: &Sender,
    _ring: &mut BenchRing,
    rate: u64,
    duration: Duration,
) -> Result<LatencyFigures, Error> {
    let run = LatencyRun {
        sender,
        order: Order::Timed(rate, duration),
        samples_max: (rate as u128 * duration.as_nanos() / 1_000_000_000) as usize + 1_024,
    };
    let figures = setup.with(contender, run)?;
    match accounted(&figures.sent, figures.received, &figures.lost) {
        None => Ok(figures),
        Some(text) => Err(wrong(contender, text)),
    }
}

/// How long nothing must come, after the sender has finished, for the rest to be lost.
const QUIET: Duration = Duration::from_millis(100);
/// Longer than a packet ring keeps a block that is not full.
const SETTLE: Duration = Duration::from_millis(25);

struct FlowRun<'a> {
    sender: &'a Sender,
    ring: &'a mut BenchRing,
    order: Order,
    wait: Wait,
    stage: Stage,
}

/// Figures, and what does not add up.
type Checked<T> = (T, Option<String>);

impl Task for FlowRun<'_> {
    type Output = Checked<FlowFigures>;

    fn run(self, path: &mut impl Path) -> Result<Self::Output, Error> {
        if self.stage.is_merged() {
            let mut sink = Counted::new(Merged::new(self.ring));
            let figures = take_flow(path, &mut sink, self.sender, self.order, self.wait)?;
            let (sent, lost) = (figures.sent, figures.lost.packets());
            let checked = sink.inner.check(sent.first_sequence, sent.sequences, lost);
            return Ok((figures, checked.err()));
        }
        let mut sink = Counted::new(Sum::default());
        let figures = take_flow(path, &mut sink, self.sender, self.order, self.wait)?;
        let fault = sink.inner.fault(&figures.sent, figures.lost.packets());
        Ok((figures, fault))
    }
}

fn take_flow<S: Sink>(
    path: &mut impl Path,
    sink: &mut Counted<S>,
    sender: &Sender,
    order: Order,
    wait: Wait,
) -> Result<FlowFigures, Error> {
    let wire_before = sender.wire_drops()?;
    let mut waits = 0;
    let mut sent: Option<Sent> = None;
    let mut quiet_since_ns = 0;
    sender.begin(order)?;
    let start_cpu_ns = thread_cpu_ns();
    loop {
        sink.begin();
        let (count, is_behind) = path.take(sink)?;
        sink.end();
        if count > 0 {
            quiet_since_ns = 0;
            if is_behind {
                continue;
            }
        } else if sent.is_none() {
            sent = sender.finished()?;
        }
        if sent.is_some_and(|sent| sink.count >= sent.packets) {
            break;
        }
        match wait {
            Wait::Block => {
                waits += 1;
                let is_quiet = !path.wait(QUIET)?;
                if is_quiet && sent.is_some() {
                    break;
                }
            }
            Wait::Spin if sent.is_some() && count == 0 => {
                let now_ns = monotonic_ns();
                if quiet_since_ns == 0 {
                    quiet_since_ns = now_ns;
                } else if now_ns - quiet_since_ns > QUIET.as_nanos() as u64 {
                    break;
                }
            }
            Wait::Spin => std::hint::spin_loop(),
        }
    }
    let cpu_ns = thread_cpu_ns() - start_cpu_ns;
    let sent = sent.expect("the loop ends after the sender");
    let lost = Lost {
        wire: sender.wire_drops()? - wire_before,
        path: path.counters()?,
    };
    Ok(FlowFigures {
        sent,
        received: sink.count,
        lost,
        cpu_ns,
        waits,
    })
}

struct DrainRun<'a> {
    sender: &'a Sender,
    ring: &'a mut BenchRing,
    packets: u64,
    bursts: u64,
    stage: Stage,
}

impl Task for DrainRun<'_> {
    type Output = Checked<DrainFigures>;

    fn run(self, path: &mut impl Path) -> Result<Self::Output, Error> {
        if self.stage.is_merged() {
            let mut sink = Counted::new(Merged::new(self.ring));
            let (figures, sent) =
                take_bursts(path, &mut sink, self.sender, self.packets, self.bursts)?;
            let lost = figures.lost.packets();
            let checked = sink.inner.check(sent.first_sequence, sent.sequences, lost);
            let fault = checked.err();
            return Ok((
                figures.clone(),
                fault.or(accounted(&sent, figures.received, &figures.lost)),
            ));
        }
        let mut sink = Counted::new(Sum::default());
        let (figures, sent) = take_bursts(path, &mut sink, self.sender, self.packets, self.bursts)?;
        let fault = sink.inner.fault(&sent, figures.lost.packets());
        let fault = fault.or(accounted(&sent, figures.received, &figures.lost));
        Ok((figures, fault))
    }
}

/// The figures of all bursts, and what was sent altogether.
fn take_bursts<S: Sink>(
    path: &mut impl Path,
    sink: &mut Counted<S>,
    sender: &Sender,
    packets: u64,
    bursts: u64,
) -> Result<(DrainFigures, Sent), Error> {
    let wire_before = sender.wire_drops()?;
    let (mut wall_ns, mut cpu_ns) = (0, 0);
    let mut all: Option<Sent> = None;
    for _ in 0..bursts.max(1) {
        sender.begin(Order::Burst(packets))?;
        let sent = sender.wait()?;
        // Until a packet ring has handed over its last block. The same for all.
        thread::sleep(SETTLE);
        let expected = sink.count + sent.packets;
        let (start_ns, start_cpu_ns) = (monotonic_ns(), thread_cpu_ns());
        let (mut end_ns, mut end_cpu_ns) = (start_ns, start_cpu_ns);
        loop {
            sink.begin();
            let (count, _) = path.take(sink)?;
            sink.end();
            if count > 0 {
                end_ns = monotonic_ns();
            }
            if count == 0 || sink.count >= expected {
                end_cpu_ns = end_cpu_ns.max(thread_cpu_ns());
                break;
            }
        }
        wall_ns += end_ns - start_ns;
        cpu_ns += end_cpu_ns - start_cpu_ns;
        all = Some(match all {
            None => sent,
            Some(all) => Sent {
                packets: all.packets + sent.packets,
                sequences: all.sequences + sent.sequences,
                elapsed_ns: all.elapsed_ns + sent.elapsed_ns,
                cpu_ns: all.cpu_ns + sent.cpu_ns,
                ..all
            },
        });
    }
    let lost = Lost {
        wire: sender.wire_drops()? - wire_before,
        path: path.counters()?,
    };
    let figures = DrainFigures {
        received: sink.count,
        lost,
        wall_ns,
        cpu_ns,
    };
    Ok((figures, all.expect("at least one burst")))
}

struct LatencyRun<'a> {
    sender: &'a Sender,
    order: Order,
    samples_max: usize,
}

impl Task for LatencyRun<'_> {
    type Output = LatencyFigures;

    fn run(self, path: &mut impl Path) -> Result<Self::Output, Error> {
        let mut sink = Counted::new(Delays {
            now_ns: 0,
            samples_ns: Vec::with_capacity(self.samples_max),
        });
        let flow = take_flow(path, &mut sink, self.sender, self.order, Wait::Spin)?;
        let mut samples_ns = sink.inner.samples_ns;
        samples_ns.sort_unstable();
        let quantile = |share: f64| {
            let rank = (samples_ns.len() as f64 * share).ceil() as usize;
            samples_ns.get(rank.max(1) - 1).copied().unwrap_or(0)
        };
        Ok(LatencyFigures {
            sent: flow.sent,
            received: flow.received,
            lost: flow.lost,
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
            p999_ns: quantile(0.999),
            max_ns: quantile(1.0),
        })
    }
}

/// Counts packets for the loop.
struct Counted<S> {
    inner: S,
    count: u64,
}

impl<S: Sink> Counted<S> {
    fn new(inner: S) -> Self {
        Self { inner, count: 0 }
    }
}

impl<S: Sink> Sink for Counted<S> {
    #[inline]
    fn take(&mut self, line: u8, payload: &[u8], rx_ns: u64) {
        self.count += 1;
        self.inner.take(line, payload, rx_ns);
    }

    #[inline]
    fn begin(&mut self) {
        self.inner.begin();
    }

    #[inline]
    fn end(&mut self) {
        self.inner.end();
    }
}

/// The trivial handler: adds up the sequence numbers and the times, so that neither is left out by
/// the compiler.
#[derive(Default)]
struct Sum {
    sequences: u64,
    times_ns: u64,
}

impl Sum {
    fn fault(&self, sent: &Sent, lost: u64) -> Option<String> {
        std::hint::black_box(self.times_ns);
        let wanted = sent.sum();
        (lost == 0 && self.sequences != wanted).then(|| {
            let found = self.sequences;
            format!("the sequence numbers add up to {found}, not {wanted}")
        })
    }
}

impl Sink for Sum {
    #[inline]
    fn take(&mut self, _line: u8, payload: &[u8], rx_ns: u64) {
        self.sequences = self.sequences.wrapping_add(sequence_of(payload));
        self.times_ns = self.times_ns.wrapping_add(rx_ns);
    }
}

/// Takes the time of each packet's way; the clock is read once per batch.
struct Delays {
    now_ns: u64,
    samples_ns: Vec<u64>,
}

impl Sink for Delays {
    #[inline]
    fn begin(&mut self) {
        self.now_ns = 0;
    }

    #[inline]
    fn take(&mut self, _line: u8, payload: &[u8], _rx_ns: u64) {
        if self.now_ns == 0 {
            self.now_ns = realtime_ns();
        }
        if self.samples_ns.len() < self.samples_ns.capacity() {
            self.samples_ns
                .push(self.now_ns.saturating_sub(sent_ns_of(payload)));
        }
    }
}

/// Received and counted drops are what was sent; what is wrong, else.
fn accounted(sent: &Sent, received: u64, lost: &Lost) -> Option<String> {
    let (packets, dropped) = (sent.packets, lost.packets());
    (received + dropped != packets).then(|| {
        format!(
            "{packets} packets sent, {received} received, {dropped} counted as dropped: {lost:?}"
        )
    })
}

fn wrong(contender: Contender, text: String) -> Error {
    Error::WrongResult {
        contender: contender.to_string(),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(packets: u64) -> Sent {
        Sent {
            packets,
            sequences: packets,
            first_sequence: 1,
            elapsed_ns: 1,
            cpu_ns: 1,
        }
    }

    /// One packet too few or too many voids a run; a counted drop explains one.
    #[test]
    fn unaccounted_packets_are_a_fault() {
        let none = Lost::default();
        let one = Lost {
            wire: 1,
            ..Lost::default()
        };
        assert_eq!(accounted(&sent(10), 10, &none), None);
        assert_eq!(accounted(&sent(10), 9, &one), None);
        assert!(accounted(&sent(10), 9, &none).is_some());
        assert!(accounted(&sent(10), 10, &one).is_some());
    }

    /// The right number of wrong packets is a fault too.
    #[test]
    fn other_packets_are_a_fault() {
        let mut sum = Sum::default();
        for sequence in [1u64, 2, 2] {
            let mut payload = [0; 64];
            payload[10..18].copy_from_slice(&sequence.to_be_bytes());
            sum.take(0, &payload, 0);
        }
        assert!(sum.fault(&sent(3), 0).is_some());
        assert_eq!(sum.fault(&sent(3), 1), None);
    }
}
