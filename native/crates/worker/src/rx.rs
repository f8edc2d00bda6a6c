//! Wiring of `tickdeck-rx`: both lines into one ordered stream, its gaps asked for again, all of
//! it in the ring and in the journal.
//!
//! | Thread | Does | Talks to |
//! |---|---|---|
//! | receive | both lines, merge, ring ([`receive`], [`merge`], [`publisher`]) | recovery, by queues |
//! | recovery | requests and answers ([`recovery`]) | receive, by queues ([`link`]) |
//! | journal | ring to log ([`journal`]) | nobody: it reads the ring |
//! | retention | prunes the log ([`retention`]) | receive, by a flag |
//! | capture | cuts what the lines brought into files ([`capture`]) | nobody: it reads its own ring |
//! | control | the control socket ([`control`]) | all but itself, by queues |
//! | main | heartbeat, the journal's watchdog, start and stop, the drop ladder ([`ladder`]) | all; receive, by queues |
//!
//! The start follows the spawn contract: spec, lock, memory, stats file and control socket,
//! journal (with what the ring of the incarnation before still holds), ring, sockets, READY. The
//! stop runs the other way round: the groups are left, the ring's rest is journalled and sealed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tickdeck_stats::{Builder, ExitReason, Gauge, Header, Identity, State, StatsFile};

use crate::control::{ControlServer, Hello};
use crate::exit::{self, Code, Failure, chain};
use crate::lifecycle::{self, Lock, RunArgs, StopFlag};
use crate::logging;
use crate::spec::{Kind, Spec};

mod capture;
mod checkpoints;
mod control;
mod drain;
mod failure;
mod gap_orders;
mod gap_rows;
mod journal;
mod journal_orders;
mod journal_state;
mod journal_watch;
mod ladder;
mod lines;
mod link;
mod merge;
mod merge_orders;
mod metrics;
pub(crate) mod offline;
mod opening;
mod probe;
mod protocol;
mod publisher;
mod race;
mod receive;
mod recovery;
mod recovery_ops;
mod recovery_port;
mod resume;
mod retention;
mod stopping;
mod threads;
mod wake;

use checkpoints::Pace;
use control::{OPS, Ops};
use drain::DrainDeadline;
use failure::net_failure;
use ladder::watch::HostMetrics;
use metrics::{CaptureMetrics, JournalMetrics, ReceiveMetrics, RecoveryMetrics, RetentionMetrics};
pub(crate) use protocol::Wire;
use recovery::ReadinessMetrics;

/// Runs the command line and returns the exit code.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    logging::start();
    exit::finish(match command {
        Command::Run(args) => run(&args),
        Command::Probe { spec } => probe::run(&spec),
        Command::Offline(args) => offline::run(&args),
    })
}

/// Receives, merges, recovers and journals one exchange.
#[derive(Parser)]
#[command(name = "tickdeck-rx", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a worker from its spec file until SIGTERM.
    Run(RunArgs),
    /// Merges the lines of a capture and tells what each brought and lost.
    Offline(offline::OfflineArgs),
    /// Tells which receive paths this host has for the lines of a spec file.
    Probe {
        /// The worker's spec file.
        #[arg(long)]
        spec: PathBuf,
    },
}

/// The metrics, by the thread that writes them.
struct Metrics {
    receive: ReceiveMetrics,
    recovery: RecoveryMetrics,
    readiness: ReadinessMetrics,
    journal: JournalMetrics,
    host: HostMetrics,
    journal_state: Gauge,
    capture: CaptureMetrics,
    retention: RetentionMetrics,
}

fn run(args: &RunArgs) -> Result<Code, Failure> {
    let spec = Spec::load(&args.spec, Kind::Rx)?;
    lifecycle::follow_parent(args.ephemeral)?;
    let _lock = Lock::take(&spec.runtime_dir)?;
    let stop = StopFlag::on_signals()?;
    if spec.exchange.general.mlock_all {
        tickdeck_net::lock_memory().map_err(|error| net_failure(&error))?;
    }
    let (file, metrics) = create_stats(&spec)?;
    let header = file.header();
    leave_last_words_on_panic(&header);
    let result = serve(&spec, args, &file, metrics, &stop);
    match &result {
        Ok(code) => header.exit(ExitReason::Drained, *code as i32, "drained and sealed"),
        Err(failure) => header.exit(failure.code.reason(), failure.code as i32, &failure.message),
    };
    header.set_state(State::Stopped);
    result
}

/// Everything between the stats file and the exit record.
fn serve(
    spec: &Spec,
    args: &RunArgs,
    file: &StatsFile,
    metrics: Metrics,
    stop: &StopFlag,
) -> Result<Code, Failure> {
    let queues = threads::Queues::new(spec)?;
    let drain = DrainDeadline::new();
    let mut ops = Ops {
        worker: spec.worker.clone(),
        incarnation: spec.incarnation.clone(),
        generation: spec.generation,
        stats_path: file.path().display().to_string(),
        stop: stop.clone(),
        drain: drain.clone(),
        recovery: queues.recovery_orders,
        merge: queues.merge_orders,
        checkpoints: Pace::default(),
        journal: queues.journal_orders,
        report: queues.report_orders,
        capture: queues.capture_orders,
    };
    let hello = Hello {
        worker: &spec.worker,
        incarnation: &spec.incarnation,
        ops: OPS,
    };
    let path = spec.runtime_dir.join("control.sock");
    let server = ControlServer::serve(&path, hello, move |call| ops.handle(call));
    // Dropped last, so that it answers until everything has ended.
    let _server = server
        .map_err(|error| Failure::failed(format!("control socket {}: {error}", path.display())))?;
    let header = file.header();
    let mut running = threads::start(spec, metrics, queues.inner, &header, stop, drain)?;
    let ready = running.wait_until_started().and_then(|()| {
        header.set_state(State::Ready);
        lifecycle::announce_ready(args.ready_fd)
    });
    if ready.is_ok() {
        running.watch(&header, stop);
    }
    header.set_state(State::Draining);
    running.stop(&header, stop).and(ready)?;
    Ok(Code::Clean)
}

fn create_stats(spec: &Spec) -> Result<(StatsFile, Metrics), Failure> {
    let mut builder = Builder::new(Identity {
        worker_id: spec.worker.clone(),
        resource: spec.exchange.name.clone(),
        build_id: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation: spec.incarnation_bytes()?,
        generation: spec.generation,
    });
    let metrics = Metrics {
        receive: ReceiveMetrics::new(&mut builder),
        recovery: RecoveryMetrics::new(&mut builder),
        // Of the same thread: right behind.
        readiness: ReadinessMetrics::new(&mut builder),
        journal: JournalMetrics::new(&mut builder),
        host: HostMetrics::new(&mut builder),
        // Of the main thread too.
        journal_state: builder.state("journal_state", "state", ""),
        capture: CaptureMetrics::new(&mut builder),
        retention: RetentionMetrics::new(&mut builder),
    };
    let created = builder.create(&spec.runtime_dir);
    let file = created.map_err(|error| Failure::failed(chain(&error)))?;
    Ok((file, metrics))
}

fn leave_last_words_on_panic(header: &Header) {
    let header = header.clone();
    lifecycle::on_panic(move |message, location| {
        header.exit_at(ExitReason::Panic, Code::Failed as i32, 0, message, location);
    });
}
