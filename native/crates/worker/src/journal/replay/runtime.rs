//! The runtime directory of a replay: lock, stats file, control socket.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tickdeck_stats::{
    Builder, Counter, ExitReason, Gauge, Header, Identity, State as WorkerState, parse_incarnation,
};

use crate::control::{Call, ControlError, ControlServer, Hello};
use crate::exit::{Code, Failure};
use crate::lifecycle::{Lock, StopFlag, random_uuid};

/// Value of the metric `replay_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Packets flow, or wait for their time.
    Running = 1,
    /// Everything was sent.
    Done = 2,
    /// Stopped before the end.
    Stopped = 3,
    /// Ended by an error.
    Failed = 4,
}

/// How far a replay has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) packets_sent: u64,
    pub(super) messages_sent: u64,
    pub(super) position: u64,
    pub(super) skipped: u64,
}

/// What lives as long as the replay; nothing of it exists without a runtime directory.
pub(super) struct Runtime(Option<Open>);

struct Open {
    metrics: Metrics,
    shared: Arc<Shared>,
    _control: ControlServer,
    _lock: Lock,
}

struct Metrics {
    header: Header,
    packets_sent: Counter,
    messages_sent: Counter,
    skipped: Counter,
    position: Gauge,
    state: Gauge,
}

/// What the control thread tells: the same numbers as in the stats file.
#[derive(Default)]
struct Shared {
    packets_sent: AtomicU64,
    messages_sent: AtomicU64,
    position: AtomicU64,
}

impl Runtime {
    /// Takes the lock, creates the stats file, serves the control socket.
    pub(super) fn open(directory: Option<&Path>, stop: &StopFlag) -> Result<Self, Failure> {
        let Some(directory) = directory else {
            return Ok(Self(None));
        };
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Failure::failed(format!("{what} in {}: {error}", directory.display()))
        };
        fs::create_dir_all(directory).map_err(|error| failed("runtime directory", &error))?;
        let lock = Lock::take(directory)?;
        let incarnation = random_uuid()?;
        let metrics = Metrics::create(directory, &incarnation)?;
        let shared = Arc::new(Shared::default());
        let hello = Hello {
            worker: WORKER,
            incarnation: &incarnation,
            ops: &["status", "drain"],
        };
        let handler = handler(Arc::clone(&shared), stop.clone());
        let control = ControlServer::serve(&directory.join("control.sock"), hello, handler)
            .map_err(|error| failed("control socket", &error))?;
        metrics.header.set_state(WorkerState::Ready);
        Ok(Self(Some(Open {
            metrics,
            shared,
            _control: control,
            _lock: lock,
        })))
    }

    /// Publishes progress.
    pub(super) fn show(&self, facts: &Facts, state: State) {
        let Some(Open {
            metrics, shared, ..
        }) = &self.0
        else {
            return;
        };
        metrics.packets_sent.set(facts.packets_sent);
        metrics.messages_sent.set(facts.messages_sent);
        metrics.skipped.set(facts.skipped);
        metrics.position.set(facts.position);
        metrics.state.set(state as u64);
        metrics.header.progress();
        shared
            .packets_sent
            .store(facts.packets_sent, Ordering::Relaxed);
        shared
            .messages_sent
            .store(facts.messages_sent, Ordering::Relaxed);
        shared.position.store(facts.position, Ordering::Relaxed);
    }

    /// Says that the replay lives.
    pub(super) fn heartbeat(&self, now_mono_ns: u64) {
        if let Some(open) = &self.0 {
            open.metrics.header.heartbeat(now_mono_ns);
        }
    }

    /// Leaves the last words.
    pub(super) fn close(self, result: &Result<Code, Failure>) {
        let Some(Open { metrics, .. }) = self.0 else {
            return;
        };
        let (state, reason, code, text) = match result {
            Ok(Code::Stopped) => (
                State::Stopped,
                ExitReason::Drained,
                Code::Stopped,
                "stopped",
            ),
            Ok(code) => (State::Done, ExitReason::Drained, *code, "done"),
            Err(failure) => (
                State::Failed,
                reason_of(failure.code),
                failure.code,
                failure.message.as_str(),
            ),
        };
        metrics.state.set(state as u64);
        metrics.header.exit(reason, code as i32, text);
        metrics.header.set_state(WorkerState::Stopped);
    }
}

impl Metrics {
    fn create(directory: &Path, incarnation: &str) -> Result<Self, Failure> {
        let id = parse_incarnation(incarnation)
            .ok_or_else(|| Failure::failed(format!("the kernel's uuid {incarnation:?} is none")))?;
        let mut builder = Builder::new(Identity {
            worker_id: WORKER.to_owned(),
            resource: directory
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            build_id: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: id,
            generation: 0,
        });
        let packets_sent = builder.counter("replay_packets_sent_total", "packets", "");
        let messages_sent = builder.counter("replay_messages_sent_total", "messages", "");
        let skipped = builder.counter("replay_skipped_total", "records", "");
        let position = builder.gauge("replay_position", "sequence", "");
        let state = builder.state("replay_state", "state", "");
        let file = builder.create(directory).map_err(|error| {
            Failure::failed(format!("stats file in {}: {error}", directory.display()))
        })?;
        let header = file.header();
        Ok(Self {
            header,
            packets_sent,
            messages_sent,
            skipped,
            position,
            state,
        })
    }
}

fn handler(
    shared: Arc<Shared>,
    stop: StopFlag,
) -> impl FnMut(&Call<'_>) -> Result<Value, ControlError> + Send + 'static {
    move |call| match call.op {
        "status" => Ok(json!({
            "packets_sent": shared.packets_sent.load(Ordering::Relaxed),
            "messages_sent": shared.messages_sent.load(Ordering::Relaxed),
            "position": shared.position.load(Ordering::Relaxed),
        })),
        "drain" => {
            stop.set();
            Ok(json!({}))
        }
        op => Err(ControlError::unknown_op(op)),
    }
}

fn reason_of(code: Code) -> ExitReason {
    match code {
        Code::Config => ExitReason::Config,
        Code::Layout => ExitReason::Layout,
        Code::Permission => ExitReason::Capability,
        Code::Unavailable => ExitReason::Absent,
        Code::Locked => ExitReason::Locked,
        Code::Clean | Code::Failed | Code::Stopped | Code::Incomparable => ExitReason::Failed,
    }
}

const WORKER: &str = "replay";
