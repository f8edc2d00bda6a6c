//! Start and end of the live worker, in the order of the spawn contract.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use tickdeck_book::BooksConfig;
use tickdeck_net::clock;
use tickdeck_stats::{ExitReason, Header, State};
use tickdeck_wire::eobi::Release;

use super::agent::{Agent, Settings};
use super::commands::{self, DrainDeadline};
use super::feed::Feed;
use super::handover::Handover;
use super::metrics::Metrics;
use super::patrol::Patrol;
use super::snapshots::Snapshots;
use super::venue::VenueKind;
use crate::control::{ControlServer, Hello};
use crate::exit::{Code, Failure};
use crate::lifecycle::{self, Lock, RunArgs, StopFlag};
use crate::spec::{self, Decoder, EobiRelease, Exchange, Kind, Spec};

/// Time between two heartbeats; the daemon expects one a second.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// Runs until SIGTERM or the op `drain`.
pub(crate) fn run(args: &RunArgs) -> Result<Code, Failure> {
    let spec = Spec::load(&args.spec, Kind::Book)?;
    let _lock = Lock::take(&spec.runtime_dir)?;
    lifecycle::follow_parent(args.ephemeral)?;
    if spec.exchange.general.mlock_all {
        tickdeck_net::lock_memory().map_err(|error| {
            Failure::new(Code::Permission, format!("general.mlock_all: {error}"))
        })?;
    }
    let stop = StopFlag::on_signals()?;
    let (metrics, file) = Metrics::create(&spec, &spec.runtime_dir)?;
    let header = file.header();
    let panic_header = header.clone();
    lifecycle::on_panic(move |message, location| {
        panic_header.exit_at(ExitReason::Panic, 101, 0, message, location);
    });
    let result = supervise(&spec, args, metrics, &header, &stop);
    match &result {
        Ok(code) => header.exit(ExitReason::Drained, *code as i32, "drained"),
        Err(failure) => header.exit(ExitReason::Failed, failure.code as i32, &failure.message),
    };
    header.set_state(State::Stopped);
    result
}

/// Starts control socket and agent, beats while they work, and waits for the agent's end.
fn supervise(
    spec: &Spec,
    args: &RunArgs,
    metrics: Metrics,
    header: &Header,
    stop: &StopFlag,
) -> Result<Code, Failure> {
    header.heartbeat(clock::monotonic_ns());
    let drain_deadline = DrainDeadline::new();
    let (handler, requests) = commands::handler(stop.clone(), drain_deadline.clone());
    let socket = spec.runtime_dir.join("control.sock");
    let (worker, incarnation) = (spec.worker.as_str(), spec.incarnation.as_str());
    let hello = Hello {
        worker,
        incarnation,
        ops: &commands::OPS,
    };
    let _control = ControlServer::serve(&socket, hello, handler).map_err(|error| {
        Failure::failed(format!("control socket {}: {error}", socket.display()))
    })?;
    let agent = Agent {
        settings: Settings {
            venue: venue_of(&spec.exchange)?,
            books: BooksConfig {
                initial_orders: spec.exchange.book.initial_orders,
                ..BooksConfig::default()
            },
            ticks: spec::tick_rules(&spec.exchange.book.ticks),
            snapshot_interval_ns: spec
                .exchange
                .book
                .snapshot_interval_ms
                .max(1)
                .saturating_mul(1_000_000),
            checkpoint_messages: spec.exchange.book.checkpoint_messages,
            ready_fd: args.ready_fd,
        },
        feed: Feed::new(&spec.exchange.journal.data_dir, &spec.ring_path),
        snapshots: Snapshots::start(&spec.snapshot_dir, &spec.exchange.journal.data_dir)?,
        handover: Handover::start(&spec.ring_path, incarnation)?,
        patrol: Patrol::new(
            spec.exchange
                .book
                .check_interval_ms
                .saturating_mul(1_000_000),
        ),
        metrics,
        header: header.clone(),
        requests,
        stop: stop.clone(),
        drain_deadline,
    };
    tracing::info!(worker, exchange = spec.exchange.name, "starting");
    let thread = thread::Builder::new()
        .name("book".to_owned())
        .spawn(move || agent.run())
        .map_err(|error| Failure::failed(format!("book thread: {error}")))?;
    while !thread.is_finished() {
        header.heartbeat(clock::monotonic_ns());
        thread::park_timeout(HEARTBEAT);
    }
    join(thread)
}

/// What the exchange's lines carry.
fn venue_of(exchange: &Exchange) -> Result<VenueKind, Failure> {
    match exchange.decoder {
        Decoder::Itch50 => Ok(VenueKind::Itch50),
        Decoder::CmeMdp3 => Ok(VenueKind::CmeMdp3),
        Decoder::Eobi => Ok(VenueKind::Eobi(match exchange.eobi_release {
            EobiRelease::V6_0 => Release::V6_0,
            EobiRelease::V14_1 => Release::V14_1,
        })),
        Decoder::None => Err(Failure::new(
            Code::Config,
            "decoder \"none\" makes no books; set book.enabled to false",
        )),
    }
}

fn join(thread: JoinHandle<Result<(), Failure>>) -> Result<Code, Failure> {
    match thread.join() {
        Ok(result) => result.map(|()| Code::Clean),
        Err(_) => Err(Failure::failed(
            "the book thread panicked; the exit record says where",
        )),
    }
}
