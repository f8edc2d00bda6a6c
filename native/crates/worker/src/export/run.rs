//! Start and end of the exporter, in the order of the spawn contract.
//!
//! | Thread | Does |
//! |---|---|
//! | *door* or *caller* | everything before a proof: accepts, or dials |
//! | *feed* | serves those who have proved themselves |
//! | *sight* | looks at the log's directory, for all |
//! | *pins* | makes pins durable |
//! | *control* | the control socket |
//! | *main* | heartbeat, certificates, reloads; touches no file of the journal |
//!
//! The end of a thread before a stop, or a panic in any, ends the process: an exporter that does not
//! export must not look alive. A disk that hangs stops *pins*, perhaps *sight*, and is told; it stops
//! neither the heartbeat nor those who read what is in memory.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustls::time_provider::DefaultTimeProvider;
use serde_json::{Value, json};
use tickdeck_export::backoff::Backoff;
use tickdeck_journal::JournalError;
use tickdeck_net::clock::monotonic_ns;
use tickdeck_stats::{ExitReason, Header, State};

use super::admission::Admissions;
use super::audit::Audit;
use super::caller::Caller;
use super::crew::Crew;
use super::descriptors;
use super::door::{self, Door};
use super::feed::{self, Feed, Rows};
use super::guest::{Guest, Reception};
use super::keys::{KeyFile, random_bytes};
use super::listener::Listener;
use super::marks::Marks;
use super::metrics::{self, DoorMetrics, FeedMetrics, HouseMetrics, Metrics, PinMetrics};
use super::pins::{DiskPins, PinBoard, PinWriter};
use super::script::Script;
use super::sight::{Lookout, SharedSight};
use super::tls::{ExpiryWatch, OwnFiles, TlsAcceptor, TlsDialer};
use crate::control::{Call, ControlError, ControlServer, Hello};
use crate::exit::{Code, Failure};
use crate::lifecycle::{self, Lock, RunArgs, StopFlag};
use crate::spec::export::ExportMode;
use crate::spec::{Kind, Spec, TcpExport};

/// Time between two heartbeats; the daemon expects one a second.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// Time between two rounds through certificates and the age of pins.
const ROUND: Duration = Duration::from_secs(1);
/// A pin that waits for so long is worth a word: a disk hangs.
const PIN_PATIENCE: Duration = Duration::from_secs(5);
/// A log that was not looked at for so long, too: newcomers wait.
const SIGHT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a stop waits for the last pins.
const LAST_PINS: Duration = Duration::from_secs(5);
/// How long a drain may take when it was not said.
const DRAIN_MS: u64 = 5_000;
/// Guests on their way from the door to the feed.
const GUESTS: usize = 32;

const OPS: [&str; 4] = ["status", "export.subscribers", "export.reload", "drain"];

/// Runs until SIGTERM or the op `drain`.
pub(super) fn run(args: &RunArgs, mut script: Script) -> Result<Code, Failure> {
    let spec = Spec::load(&args.spec, Kind::Export)?;
    let _lock = Lock::take(&spec.runtime_dir)?;
    lifecycle::follow_parent(args.ephemeral)?;
    let stop = StopFlag::on_signals()?;
    let (metrics, file) = metrics::create(&spec)?;
    let header = file.header();
    let panic_header = header.clone();
    let panicked = Arc::new(AtomicBool::new(false));
    let has_panicked = Arc::clone(&panicked);
    lifecycle::on_panic(move |message, location| {
        panic_header.exit_at(ExitReason::Panic, 101, 0, message, location);
        has_panicked.store(true, Ordering::Release);
    });
    let Metrics {
        feed,
        door,
        house,
        sight,
        pins,
    } = metrics;
    let lookout = |dir: &Path| Lookout::open(dir, sight);
    let result = Exporter::open(&spec, stop, house, panicked, lookout).and_then(|exporter| {
        let threads = (feed, door, pins);
        exporter.supervise(&spec, args, threads, &mut script, &header)
    });
    match &result {
        Ok(code) => header.exit(ExitReason::Drained, *code as i32, "drained"),
        Err(failure) => header.exit(failure.code.reason(), failure.code as i32, &failure.message),
    };
    header.set_state(State::Stopped);
    script.ended(file.path(), &result);
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
    lookout: Option<Lookout>,
    rows: Rows,
    board: PinBoard,
    drain_ms: Arc<AtomicU64>,
    reload: Arc<AtomicBool>,
    expiry: ExpiryWatch,
    panicked: Arc<AtomicBool>,
    /// The pins were late at the last round.
    is_late: bool,
    /// The look at the log was old at the last round.
    is_blind: bool,
}

impl Exporter {
    fn open(
        spec: &Spec,
        stop: StopFlag,
        house: HouseMetrics,
        panicked: Arc<AtomicBool>,
        lookout: impl FnOnce(&Path) -> Result<Lookout, JournalError>,
    ) -> Result<Self, Failure> {
        let export = &spec.exchange.tcp_export;
        if !export.enabled {
            return Err(Failure::new(Code::Config, "tcp_export.enabled is false"));
        }
        let config = |text: String| Failure::new(Code::Config, text);
        let beside = door::SLOTS + GUESTS + feed::MAX_CLOSING;
        descriptors::make_room(export.max_subscribers, beside);
        random_bytes::<1>().map_err(|error| Failure::failed(format!("/dev/urandom: {error}")))?;
        let keys = match &export.auth_token {
            None => None,
            Some(path) => {
                Some(Arc::new(KeyFile::open(path).map_err(|error| {
                    config(format!("tcp_export.auth_token: {error}"))
                })?))
            }
        };
        let tls = open_tls(export)?;
        let lookout = lookout(&spec.exchange.journal.data_dir)
            .map_err(|error| Failure::failed(error.to_string()))?;
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
            lookout: Some(lookout),
            rows: Rows::default(),
            board: PinBoard::default(),
            drain_ms: Arc::new(AtomicU64::new(DRAIN_MS)),
            reload,
            expiry: ExpiryWatch::default(),
            panicked,
            is_late: false,
            is_blind: false,
        })
    }

    fn supervise(
        mut self,
        spec: &Spec,
        args: &RunArgs,
        (feed, door, pins): (FeedMetrics, DoorMetrics, PinMetrics),
        script: &mut Script,
        header: &Header,
    ) -> Result<Code, Failure> {
        header.heartbeat(monotonic_ns());
        let listener = self.listener.take();
        let lookout = self.lookout.take().expect("was opened");
        let address = listener.as_ref().map(Listener::address);
        let _control = self.serve_control(spec, address.clone())?;
        let mut crew = Crew::default();
        let (guests, arriving) = sync_channel(GUESTS);
        let drain_ms = Arc::clone(&self.drain_ms);
        let admissions = Admissions::new(&spec.exchange.tcp_export);
        let sight = lookout.shared();
        let feed = Feed {
            marks: Marks::new(&spec.exchange.journal.data_dir, &rx_dir(spec)),
            sight: sight.clone(),
            admissions: admissions.clone(),
            guests: arriving,
            metrics: feed,
            audit: Audit::of("feed"),
            rows: Arc::clone(&self.rows),
            pins: self.board.clone(),
            stop: self.stop.clone(),
            drain_ns: Box::new(move || drain_ms.load(Ordering::Relaxed) * 1_000_000),
        };
        let reception = self.reception(spec, &lookout)?;
        let writer = PinWriter {
            store: DiskPins(spec.exchange.journal.data_dir.clone()),
            board: self.board.clone(),
            admissions,
            metrics: pins,
        };
        match listener {
            Some(listener) => self.open_door(&mut crew, listener, reception, guests, door)?,
            None => self.start_calling(&mut crew, spec, reception, guests, door)?,
        }
        crew.start("sight", move || lookout.run())?;
        crew.start("pins", move || writer.run())?;
        crew.start("feed", move || feed.run())?;
        let exchange = spec.exchange.name.as_str();
        tracing::info!(worker = spec.worker, exchange, address, "exports");
        header.set_state(State::Ready);
        script.ready(spec, address.as_deref());
        lifecycle::announce_ready(args.ready_fd)?;
        self.keep_house(header, &mut crew, &sight)?;
        header.set_state(State::Draining);
        let beat = || header.heartbeat(monotonic_ns());
        let front = crew.join("door", beat).and(crew.join("caller", beat));
        let result = front.and(crew.join("feed", beat));
        // What was acknowledged while it drained.
        self.board.close();
        let pinned = crew.join_within("pins", LAST_PINS, beat);
        sight.close();
        let seen = crew.join_within("sight", LAST_PINS, beat);
        result.and(pinned).and(seen).map(|()| Code::Clean)
    }

    fn open_door(
        &self,
        crew: &mut Crew,
        listener: Listener,
        reception: Reception,
        guests: SyncSender<Guest>,
        metrics: DoorMetrics,
    ) -> Result<(), Failure> {
        let tls = match &self.tls {
            Tls::Accepts(acceptor) => Some(Arc::clone(acceptor)),
            _ => None,
        };
        let door = Door {
            listener,
            reception,
            tls,
            guests,
            metrics,
            audit: Audit::of("door"),
            stop: self.stop.clone(),
        };
        crew.start("door", move || door.run())
    }

    fn start_calling(
        &self,
        crew: &mut Crew,
        spec: &Spec,
        reception: Reception,
        guests: SyncSender<Guest>,
        metrics: DoorMetrics,
    ) -> Result<(), Failure> {
        let export = &spec.exchange.tcp_export;
        let seed =
            random_bytes().map_err(|error| Failure::failed(format!("/dev/urandom: {error}")))?;
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
            metrics,
            audit: Audit::of("caller"),
            stop: self.stop.clone(),
        };
        crew.start("caller", move || caller.run())
    }

    fn reception(&self, spec: &Spec, lookout: &Lookout) -> Result<Reception, Failure> {
        let server = spec.worker.parse().map_err(|error| {
            Failure::new(Code::Config, format!("worker {:?}: {error}", spec.worker))
        })?;
        Ok(Reception {
            server,
            sight: lookout.shared(),
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

    /// Beats while the threads work, until a stop; fails when one of them has ended before.
    fn keep_house(
        &mut self,
        header: &Header,
        crew: &mut Crew,
        sight: &SharedSight,
    ) -> Result<(), Failure> {
        let mut due = Instant::now();
        while !self.stop.is_set() {
            // In this order: those who end because of a stop are no deserters.
            if crew.has_ended() && !self.stop.is_set() {
                self.stop.set();
                return Err(crew.desertion());
            }
            if self.panicked.load(Ordering::Acquire) {
                self.stop.set();
                return Err(Failure::failed(
                    "a thread panicked; the exit record says where",
                ));
            }
            header.heartbeat(monotonic_ns());
            header.progress();
            if Instant::now() >= due {
                due = Instant::now() + ROUND;
                self.round(sight);
            }
            if self.reload.swap(false, Ordering::Relaxed) {
                self.reload_secrets();
            }
            thread::park_timeout(HEARTBEAT);
        }
        Ok(())
    }

    /// What is done each second. Nothing here waits for the journal's disk.
    fn round(&mut self, sight: &SharedSight) {
        self.tell_sight(sight.age());
        let lag = self.board.lag();
        self.house.pin_lag_ms.set(lag.as_millis() as u64);
        let is_late = lag > PIN_PATIENCE;
        if is_late != self.is_late {
            self.is_late = is_late;
            let lag_ms = lag.as_millis() as u64;
            match is_late {
                true => tracing::error!(
                    lag_ms,
                    "pins are not becoming durable: what was acknowledged since is kept longer \
                     than needed; look at the journal's disk"
                ),
                false => tracing::info!(lag_ms, "pins are durable in time again"),
            }
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

    fn tell_sight(&mut self, age: Duration) {
        let age_ms = age.as_millis() as u64;
        self.house.sight_age_ms.set(age_ms);
        let is_blind = age > SIGHT_PATIENCE;
        if is_blind == self.is_blind {
            return;
        }
        self.is_blind = is_blind;
        match is_blind {
            true => tracing::error!(
                age_ms,
                "the log cannot be looked at: who is served goes on, newcomers wait or are told to \
                 come again; look at the journal's disk"
            ),
            false => tracing::info!(age_ms, "the log is looked at in time again"),
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
fn rx_dir(spec: &Spec) -> PathBuf {
    let name = format!("{}-rx", spec.exchange.name);
    spec.runtime_dir.with_file_name(name)
}
