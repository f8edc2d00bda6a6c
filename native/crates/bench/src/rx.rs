//! The receive paths beside bare loops over the same sockets, on a veth pair between two network
//! namespaces: processor time per packet at full rate and paced, drain cost, one-way latency, and
//! a soak at the highest rate that the sender reaches.
//!
//! Two lines A and B carry the same messages: 64 packets of A, then the same 64 of B, and so on. A
//! packet is a MoldUDP64 packet of one message. Latency is measured on one line. The sender runs on
//! one core with the kernel's receive work (softirq), the reader on another.
//!
//! Contenders take turns within a round, each opened anew, on the same traffic; ratios are taken
//! within a round. A round counts only when received and counted drops add up to what was sent.

mod contender;
mod measure;
pub(crate) mod merged;
pub(crate) mod path;
mod report;
mod sender;
mod soak;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tickdeck_net::NetError;
use tickdeck_testbed::{Testbed, TestbedError};

use crate::journal::copier::Follower;
use crate::machine::Machine;
use contender::{Contender, ContenderPath, Open, Setup, Stage};
use measure::{Figures, Flow};
use merged::BenchRing;
use sender::Sender;

/// What is measured, and how long.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// UDP payload of a packet; at least a MoldUDP64 packet of one message with a time in it.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(30..=1_400))]
    payload_bytes: u16,
    /// The paths to measure, comma separated.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = ContenderPath::ALL)]
    paths: Vec<ContenderPath>,
    /// Length of one run at full rate.
    #[arg(long, default_value_t = 400)]
    flow_ms: u64,
    /// Packets of a burst that is queued and then drained; 0 leaves the drain out.
    #[arg(long, default_value_t = 12_800)]
    burst_packets: u64,
    /// Bursts in a round.
    #[arg(long, default_value_t = 5)]
    bursts: u64,
    /// Packets a second of the paced run, in which the reader sleeps between packets; 0 leaves it
    /// out.
    #[arg(long, default_value_t = 100_000)]
    paced_rate: u64,
    /// Packets a second of the latency run; 0 leaves it out.
    #[arg(long, default_value_t = 100_000)]
    latency_rate: u64,
    /// Length of one latency run.
    #[arg(long, default_value_t = 500)]
    latency_ms: u64,
    /// Also with the journal behind the ring, on the sender's core: the directory of its log.
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// Instead of all this: full rate for so many seconds on each path, drops by layer.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    soak_seconds: Option<u64>,
    /// How the reader of the soak waits.
    #[arg(long, value_enum, default_value_t = Wait::Block)]
    soak_wait: Wait,
    /// The soak fails when a path drops more.
    #[arg(long, requires = "soak_seconds")]
    max_dropped: Option<u64>,
    /// How packets are sent.
    #[arg(long, value_enum, default_value_t = SenderKind::Udp)]
    sender: SenderKind,
    /// Core of the sender and of the kernel's receive work.
    #[arg(long, default_value_t = 0)]
    sender_cpu: usize,
    /// Core of the reader.
    #[arg(long, default_value_t = 1)]
    reader_cpu: usize,
}

/// How a reader waits for packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wait {
    /// It sleeps in the kernel.
    Block,
    /// It asks again at once.
    Spin,
}

/// How packets are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SenderKind {
    /// Through UDP sockets.
    Udp,
    /// Whole frames through a packet socket around the queueing discipline: a higher rate.
    Frames,
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No namespaces, or something failed in them.
    #[error(transparent)]
    Testbed(#[from] TestbedError),
    /// A receiver or sender of ours failed.
    #[error("{what}: {source}")]
    Net {
        /// Which, or doing what.
        what: String,
        /// Its reason.
        source: NetError,
    },
    /// A bare loop failed.
    #[error("{what}, bare loop: {source}")]
    Bare {
        /// Of which path.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The ring or its file failed.
    #[error("ring: {0}")]
    Ring(String),
    /// The journal behind the ring failed.
    #[error("behind the ring: {0}")]
    Journal(#[from] crate::journal::Error),
    /// Packets are unaccounted for: a time would mean nothing.
    #[error("{contender}: {text}: the figures would be void")]
    WrongResult {
        /// Whose.
        contender: String,
        /// What does not add up.
        text: String,
    },
    /// More was dropped than was allowed.
    #[error("dropped: {0}")]
    Dropped(String),
    /// The sender's thread is gone.
    #[error("the sender ended before the measurement did")]
    SenderGone,
}

impl Error {
    /// Whether this host or process can have no namespaces, so that nothing was tried.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Testbed(TestbedError::Unavailable(_)))
    }

    /// Whether the system said EBUSY.
    fn is_busy(&self) -> bool {
        let mut cause: Option<&dyn std::error::Error> = Some(self);
        while let Some(error) = cause {
            let system = error.downcast_ref::<std::io::Error>();
            if system.is_some_and(|error| error.kind() == std::io::ErrorKind::ResourceBusy) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// For `map_err` on what our network crate does.
    pub(crate) fn net(what: impl ToString) -> impl FnOnce(NetError) -> Self {
        let what = what.to_string();
        move |source| Self::Net { what, source }
    }
}

/// Measures and reports.
pub(crate) fn run(options: &Options, rounds: usize) -> Result<Value, Error> {
    let testbed = Testbed::new(1)?;
    let machine = Machine::before();
    let body = testbed.in_rx(|| {
        tickdeck_net::pin_current_thread(options.reader_cpu).map_err(Error::net("reader"))?;
        let mut sender = Sender::start(&testbed, options)?;
        let setup = Setup::new()?;
        match options.soak_seconds {
            Some(seconds) => soak::run(options, &setup, &mut sender, Duration::from_secs(seconds)),
            None => run_rounds(options, rounds, &setup, &mut sender),
        }
    })?;
    Ok(report::complete(body, options, &machine.after()))
}

/// Prints what [`run`] gave as a table.
pub(crate) fn print(report: &Value) {
    report::print(report);
}

/// One discarded warm-up, then the counted rounds; all contenders take turns in each.
fn run_rounds(
    options: &Options,
    rounds: usize,
    setup: &Setup,
    sender: &mut Sender,
) -> Result<Value, Error> {
    let (contenders, refused) = opened(options, setup);
    let mut ring = BenchRing::create()?;
    let mut figures = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        for (contender, figures) in contenders.iter().zip(&mut figures) {
            let measured = measure_once(options, *contender, setup, sender, &mut ring)?;
            if round > 0 {
                figures.push(measured);
            }
        }
        eprintln!("round {round} of {rounds} (0 is not counted)");
    }
    let mut report = report::paths(&contenders, &figures, rounds);
    report["unavailable"] = refused.into();
    Ok(report)
}

/// The contenders that this host can open, and why not the others.
fn opened(options: &Options, setup: &Setup) -> (Vec<Contender>, Vec<Value>) {
    let (mut contenders, mut refused) = (Vec::new(), Vec::new());
    for contender in Contender::all(&options.paths, options.journal.is_some()) {
        match setup.with(contender, Open) {
            Ok(()) => contenders.push(contender),
            Err(error) => refused.push(json!({
                "contender": contender.to_string(),
                "why": error.to_string(),
            })),
        }
    }
    (contenders, refused)
}

/// Everything of one contender in one round.
fn measure_once(
    options: &Options,
    contender: Contender,
    setup: &Setup,
    sender: &mut Sender,
    ring: &mut BenchRing,
) -> Result<Figures, Error> {
    let dir = options.journal.as_ref();
    let dir = dir.filter(|_| contender.stage == Stage::Journalled);
    let follower = dir.map(|dir| {
        let log = dir.join("tickdeck-bench-rx.journal");
        Follower::start(ring.path(), log, ring.next_seq(), options.sender_cpu)
    });
    let figures = figures_of(options, contender, setup, sender, ring)?;
    if let Some(follower) = follower {
        let followed = follower.finish(ring.next_seq())?;
        if followed.overrun > 0 {
            eprintln!("{contender}: {followed:?}");
        }
    }
    Ok(figures)
}

fn figures_of(
    options: &Options,
    contender: Contender,
    setup: &Setup,
    sender: &mut Sender,
    ring: &mut BenchRing,
) -> Result<Figures, Error> {
    let mut flow = |kind| measure::flow(contender, setup, sender, ring, kind, Wait::Block);
    let full = flow(Flow::Full(Duration::from_millis(options.flow_ms)))?;
    let paced = match options.paced_rate {
        0 => None,
        rate => {
            let duration = Duration::from_millis(options.flow_ms / 2);
            Some(flow(Flow::Paced(rate, duration))?)
        }
    };
    let drain = match options.burst_packets {
        0 => None,
        packets => Some(measure::drain(
            contender,
            setup,
            sender,
            ring,
            packets,
            options.bursts,
        )?),
    };
    let latency = match options.latency_rate {
        rate if rate > 0 && contender.has_latency() => {
            let duration = Duration::from_millis(options.latency_ms);
            let (setup, ring) = (&setup.one_line(), ring);
            Some(measure::latency(
                contender, setup, sender, ring, rate, duration,
            )?)
        }
        _ => None,
    };
    Ok(Figures {
        full,
        paced,
        drain,
        latency,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every contender of every path that this host has accounts for every packet in every
    /// measurement (else there is an error), and each path's row has the promised figures.
    #[test]
    fn every_packet_is_accounted_for() {
        let name = "every_packet_is_accounted_for";
        if tickdeck_testbed::or_skip(name, 1).is_none() {
            return;
        }
        let log = tempfile::tempdir().unwrap();
        let options = Options {
            payload_bytes: 64,
            paths: ContenderPath::ALL.to_vec(),
            flow_ms: 20,
            burst_packets: 1_000,
            bursts: 2,
            paced_rate: 5_000,
            latency_rate: 5_000,
            latency_ms: 20,
            journal: Some(log.path().to_owned()),
            soak_seconds: None,
            soak_wait: Wait::Block,
            max_dropped: None,
            sender: SenderKind::Udp,
            sender_cpu: 0,
            reader_cpu: usize::from(std::thread::available_parallelism().unwrap().get() > 1),
        };
        let report = run(&options, 1).unwrap();
        println!("{name}: not measured here: {}", report["unavailable"]);
        let rows = report["paths"].as_array().unwrap();
        assert_eq!(rows[0]["path"], "recvmmsg");
        for row in rows {
            for key in [
                "cpu_ns_per_packet",
                "ratio_to_bare",
                "drain_ns_per_packet",
                "journalled_drain_ratio_to_merged",
                "min",
            ] {
                assert!(
                    row[key].as_f64().is_some_and(|value| value > 0.0),
                    "{key}: {row}"
                );
            }
        }
        let soak = Options {
            soak_seconds: Some(1),
            soak_wait: Wait::Spin,
            sender: SenderKind::Frames,
            paths: vec![ContenderPath::AfXdpGeneric],
            ..options
        };
        let report = run(&soak, 1).unwrap();
        assert_eq!(report["soak"].as_array().unwrap().len(), soak.paths.len());
    }
}
