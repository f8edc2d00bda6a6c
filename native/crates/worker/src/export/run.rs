//! Start and end of the exporter, in the order of the spawn contract.
//!
//! | Thread | Does |
//! |---|---|
//! | *door* or *caller* | everything before a proof: accepts, or dials |
//! | *feed* | serves those who have proved themselves |
//! | *control* | the control socket |
//! | *main* | heartbeat, pins, the log's outline, certificates, reloads |
//!
//! The end of the door's or the feed's thread before a stop ends the process: an exporter that does
//! not export must not look alive.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::time_provider::DefaultTimeProvider;
use serde_json::{Value, json};
use tickdeck_export::backoff::Backoff;
use tickdeck_journal::outline;
use tickdeck_net::clock::monotonic_ns;
use tickdeck_stats::{ExitReason, Header, State};

use super::admission::Admissions;
use super::audit::Audit;
use super::caller::Caller;
use super::door::{Door, Listener};
use super::feed::{Feed, Rows};
use super::guest::{Reception, SharedOutline};
use super::keys::{KeyFile, random_bytes};
use super::marks::Marks;
use super::metrics::{self, DoorMetrics, FeedMetrics, HouseMetrics};
use super::pins::{self, PinBoard, PinKeeper};
use super::tls::{ExpiryWatch, OwnFiles, TlsAcceptor, TlsDialer};
use crate::control::{Call, ControlError, ControlServer, Hello};
use crate::exit::{Code, Failure};
use crate::lifecycle::{self, Lock, RunArgs, StopFlag};
use crate::spec::export::ExportMode;
use crate::spec::{Kind, Spec, TcpExport};

/// Time between two heartbeats; the daemon expects one a second.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// Heartbeats between two rounds through pins, outline and certificates.
const ROUND: u32 = 10;
/// How long a drain may take when it was not said.
const DRAIN_MS: u64 = 5_000;
/// Guests on their way from the door to the feed.
const GUESTS: usize = 32;

const OPS: [&str; 4] = ["status", "export.subscribers", "export.reload", "drain"];

/// Runs until SIGTERM or the op `drain`.
pub(crate) fn run(args: &RunArgs) -> Result<Code, Failure> {
    let spec = Spec::load(&args.spec, Kind::Export)?;
    let _lock = Lock::take(&spec.runtime_dir)?;
    lifecycle::follow_parent(args.ephemeral)?;
    let stop = StopFlag::on_signals()?;
    let (feed, door, house, file) = metrics::create(&spec)?;
    let header = file.header();
    let panic_header = header.clone();
    lifecycle::on_panic(move |message, location| {
        panic_header.exit_at(ExitReason::Panic, 101, 0, message, location);
    });
    let result = Exporter::open(&spec, stop, house)
        .and_then(|exporter| exporter.supervise(&spec, args, feed, door, &header));
    match &result {
        Ok(code) => header.exit(ExitReason::Drained, *code as i32, "drained"),
        Err(failure) => header.exit(failure.code.reason(), failure.code as i32, &failure.message),
    };
    header.set_state(State::Stopped);
    result
}

/// TLS as the mode needs it.
#[derive(Clone)]
enum Tls {
    Off,
    Accepts(Arc<TlsAcceptor>),
    Dials(Arc<TlsDialer>),
}

/// What is opened before anything is started.
struct Exporter {
    stop: StopFlag,
    house: HouseMetrics,
    keys: Option<Arc<KeyFile>>,
    tls: Tls,
    listener: Option<Listener>,
    outline: SharedOutline,
    rows: Rows,
    board: PinBoard,
    drain_ms: Arc<AtomicU64>,
    reload: Arc<AtomicBool>,
    expiry: ExpiryWatch,
}

impl Exporter {
    fn open(spec: &Spec, stop: StopFlag, house: HouseMetrics) -> Result<Self, Failure> {
        let export = &spec.exchange.tcp_export;
        if !export.enabled {
            return Err(Failure::new(Code::Config, "tcp_export.enabled is false"));
        }
        let config = |text: String| Failure::new(Code::Config, text);
        let keys = match &export.auth_token {
            None => None,
            Some(path) => {
                Some(Arc::new(KeyFile::open(path).map_err(|error| {
                    config(format!("tcp_export.auth_token: {error}"))
                })?))
            }
        };
        let tls = open_tls(export)?;
        let dir = &spec.exchange.journal.data_dir;
        let taken_ns = monotonic_ns();
        let seen = outline(dir).map_err(|error| Failure::failed(error.to_string()))?;
        let listener = match (export.mode, &export.addr) {
            (ExportMode::Listen, Some(addr)) => Some(Listener::bind(addr)?),
            (ExportMode::Listen, None) => return Err(config("tcp_export.addr is missing".into())),
            (ExportMode::Connect, _) => None,
        };
        let reload = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&reload))
            .map_err(|error| Failure::failed(format!("signal handler SIGHUP: {error}")))?;
        Ok(Self {
            stop,
            house,
            keys,
            tls,
            listener,
            outline: SharedOutline::new(taken_ns, seen),
            rows: Rows::default(),
            board: PinBoard::default(),
            drain_ms: Arc::new(AtomicU64::new(DRAIN_MS)),
            reload,
            expiry: ExpiryWatch::default(),
        })
    }

    fn supervise(
        mut self,
        spec: &Spec,
        args: &RunArgs,
        feed: FeedMetrics,
        door: DoorMetrics,
        header: &Header,
    ) -> Result<Code, Failure> {
        header.heartbeat(monotonic_ns());
        let listener = self.listener.take();
        let address = listener.as_ref().map(Listener::address);
        let _control = self.serve_control(spec, address.clone())?;
        let audit = Arc::new(Audit::default());
        let (guests, arriving) = sync_channel(GUESTS);
        let drain_ms = Arc::clone(&self.drain_ms);
        let admissions = Admissions::new(&spec.exchange.tcp_export);
        let feed = Feed {
            dir: spec.exchange.journal.data_dir.clone(),
            marks: Marks::new(&spec.exchange.journal.data_dir, &rx_dir(spec)),
            outline: self.outline.clone(),
            admissions: admissions.clone(),
            guests: arriving,
            metrics: feed,
            audit: Arc::clone(&audit),
            rows: Arc::clone(&self.rows),
            pins: self.board.clone(),
            stop: self.stop.clone(),
            drain_ns: Box::new(move || drain_ms.load(Ordering::Relaxed) * 1_000_000),
        };
        let reception = self.reception(spec)?;
        let front = match listener {
            Some(listener) => {
                let tls = match &self.tls {
                    Tls::Accepts(acceptor) => Some(Arc::clone(acceptor)),
                    _ => None,
                };
                let (stop, metrics) = (self.stop.clone(), door);
                let door = Door {
                    listener,
                    reception,
                    tls,
                    guests,
                    metrics,
                    audit,
                    stop,
                };
                start("door", move || door.run())?
            }
            None => {
                let export = &spec.exchange.tcp_export;
                let seed = random_bytes()
                    .map_err(|error| Failure::failed(format!("/dev/urandom: {error}")))?;
                let caller = Caller {
                    collectors: export.collectors.clone(),
                    connect_timeout: Duration::from_millis(export.connect_timeout_ms),
                    backoff: Backoff::new(export.reconnect_backoff_ms, u64::from_le_bytes(seed)),
                    reception,
                    tls: match &self.tls {
                        Tls::Dials(dialer) => Some(Arc::clone(dialer)),
                        _ => None,
                    },
                    guests,
                    metrics: door,
                    audit,
                    stop: self.stop.clone(),
                };
                start("caller", move || caller.run())?
            }
        };
        let feed = start("feed", move || feed.run())?;
        let exchange = spec.exchange.name.as_str();
        tracing::info!(worker = spec.worker, exchange, address, "exports");
        header.set_state(State::Ready);
        lifecycle::announce_ready(args.ready_fd)?;
        let keeper = PinKeeper {
            dir: spec.exchange.journal.data_dir.clone(),
            board: self.board.clone(),
            admissions,
        };
        self.keep_house(header, &keeper, &front, &feed);
        header.set_state(State::Draining);
        let result = join(front, "door").and(self.join_feed(header, feed));
        // What was acknowledged while it drained.
        keeper
            .write()
            .map_err(|error| Failure::failed(format!("last pins: {error}")))?;
        result.map(|()| Code::Clean)
    }

    fn reception(&self, spec: &Spec) -> Result<Reception, Failure> {
        let server = spec.worker.parse().map_err(|error| {
            Failure::new(Code::Config, format!("worker {:?}: {error}", spec.worker))
        })?;
        Ok(Reception {
            server,
            outline: self.outline.clone(),
            keys: self.keys.clone(),
            revoked: spec.exchange.tcp_export.tls_revoked.clone().into(),
        })
    }

    fn serve_control(
        &self,
        spec: &Spec,
        address: Option<String>,
    ) -> Result<ControlServer, Failure> {
        let hello = Hello {
            worker: &spec.worker,
            incarnation: &spec.incarnation,
            ops: &OPS,
        };
        let (rows, stop) = (Arc::clone(&self.rows), self.stop.clone());
        let (drain_ms, reload) = (Arc::clone(&self.drain_ms), Arc::clone(&self.reload));
        let handler = move |call: &Call<'_>| -> Result<Value, ControlError> {
            let subscribers = || rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match call.op {
                "status" => Ok(json!({"address": address, "subscribers": subscribers().len()})),
                "export.subscribers" => Ok(json!({"subscribers": subscribers()})),
                "export.reload" => {
                    reload.store(true, Ordering::Relaxed);
                    Ok(json!({"reload": "ordered"}))
                }
                "drain" => {
                    let deadline_ms = call.u64("deadline_ms")?.unwrap_or(DRAIN_MS);
                    drain_ms.store(deadline_ms, Ordering::Relaxed);
                    stop.set();
                    Ok(json!({"state": "DRAINING", "deadline_ms": deadline_ms}))
                }
                other => Err(ControlError::unknown_op(other)),
            }
        };
        let socket = spec.runtime_dir.join("control.sock");
        ControlServer::serve(&socket, hello, handler).map_err(|error| {
            Failure::failed(format!("control socket {}: {error}", socket.display()))
        })
    }

    /// Beats while the threads work; returns at a stop, or when one of them has ended.
    fn keep_house(&mut self, header: &Header, keeper: &PinKeeper, front: &Thread, feed: &Thread) {
        let mut beat = 0;
        while !self.stop.is_set() && !front.is_finished() && !feed.is_finished() {
            header.heartbeat(monotonic_ns());
            header.progress();
            if beat == 0 {
                self.round(keeper);
            }
            if keeper.board.has_begun() {
                self.write_pins(keeper);
            }
            beat = (beat + 1) % ROUND;
            if self.reload.swap(false, Ordering::Relaxed) {
                self.reload_secrets();
            }
            thread::park_timeout(HEARTBEAT);
        }
        // The others look at the flag too: one that ended by itself takes the process with it.
        self.stop.set();
    }

    /// What is done each second.
    fn round(&mut self, keeper: &PinKeeper) {
        let taken_ns = monotonic_ns();
        match outline(&keeper.dir) {
            Ok(seen) => self.outline.set(taken_ns, seen),
            Err(error) => tracing::warn!(%error, "the log's outline is not renewed"),
        }
        self.write_pins(keeper);
        match pins::lost(&keeper.dir) {
            Ok(lost) => self.house.slots_lost.set(lost),
            Err(error) => tracing::warn!(%error, "pins cannot be read"),
        }
        let expires_s = match &self.tls {
            Tls::Off => return,
            Tls::Accepts(acceptor) => Some(acceptor.expires_s()),
            Tls::Dials(dialer) => dialer.expires_s(),
        };
        if let Some(expires_s) = expires_s {
            let left = u64::try_from(expires_s).unwrap_or(0);
            self.house.cert_expires_s.set(left);
            if let Some(warning) = self.expiry.look(expires_s) {
                tracing::warn!(expires_s, "the certificate of the export {warning}");
            }
        }
    }

    fn write_pins(&self, keeper: &PinKeeper) {
        if let Err(error) = keeper.write() {
            self.house.pin_failures.add(1);
            tracing::error!(%error, "a pin is not written; the one before stays until it is");
        }
    }

    /// Reads keys and certificates again. Who is connected stays; on an error the old ones stay.
    fn reload_secrets(&self) {
        if let Some(keys) = &self.keys
            && let Err(error) = keys.reload()
        {
            tracing::error!(%error, "keys are not reloaded; the old ones stay in force");
        }
        let reloaded = match &self.tls {
            Tls::Off => Ok(()),
            Tls::Accepts(acceptor) => acceptor.reload(),
            Tls::Dials(dialer) => dialer.reload(),
        };
        match reloaded {
            Ok(()) => tracing::info!("keys and certificates were read again"),
            Err(error) => {
                tracing::error!(%error, "certificates are not reloaded; the old ones stay in force");
            }
        }
    }

    /// Beats until the last subscriber has what it is to have.
    fn join_feed(&self, header: &Header, feed: Thread) -> Result<(), Failure> {
        while !feed.is_finished() {
            header.heartbeat(monotonic_ns());
            thread::sleep(HEARTBEAT / 10);
        }
        join(feed, "feed")
    }
}

type Thread = JoinHandle<Result<(), Failure>>;

fn start(
    name: &str,
    work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<Thread, Failure> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder
        .spawn(work)
        .map_err(|error| Failure::failed(format!("{name} thread: {error}")))
}

fn join(thread: Thread, name: &str) -> Result<(), Failure> {
    thread.join().unwrap_or_else(|_| {
        Err(Failure::failed(format!(
            "the {name} thread panicked; the exit record says where"
        )))
    })
}

fn open_tls(export: &TcpExport) -> Result<Tls, Failure> {
    let own = match (&export.tls_cert, &export.tls_key) {
        (Some(cert), Some(key)) => Some(OwnFiles {
            cert: cert.clone(),
            key: key.clone(),
        }),
        _ => None,
    };
    let clock = Arc::new(DefaultTimeProvider);
    let config =
        |error: super::tls::TlsError| Failure::new(Code::Config, format!("tcp_export: {error}"));
    match (export.mode, own, &export.tls_client_ca) {
        (ExportMode::Listen, Some(own), ca) => {
            let acceptor = TlsAcceptor::open(own, ca.clone(), clock).map_err(config)?;
            Ok(Tls::Accepts(Arc::new(acceptor)))
        }
        (ExportMode::Connect, own, Some(ca)) => {
            let dialer = TlsDialer::open(ca.clone(), own, clock).map_err(config)?;
            Ok(Tls::Dials(Arc::new(dialer)))
        }
        (ExportMode::Connect, Some(_), None) => Err(Failure::new(
            Code::Config,
            "tcp_export: tls_client_ca is missing; without it no collector can be verified",
        )),
        (_, None, _) => Ok(Tls::Off),
    }
}

/// Where the receiver of the same exchange has its stats file: beside us.
fn rx_dir(spec: &Spec) -> std::path::PathBuf {
    let name = format!("{}-rx", spec.exchange.name);
    spec.runtime_dir.with_file_name(name)
}
