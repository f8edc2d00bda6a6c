//! One run: a writer at its rate, the healthy subscriber, and the bad ones or none.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tickdeck_net::clock::monotonic_ns;

use super::healthy::{Arrival, Healthy};
use super::plant::{Exporter, Plant};
use super::{Error, bad};

/// Bytes of a record's payload.
pub(super) const PAYLOAD: usize = 64;

/// What is measured.
pub(super) struct Case {
    /// Records a second.
    pub(super) rate: u64,
    /// Measured time.
    pub(super) measured_ms: u64,
    /// The program `tickdeck-journal`.
    pub(super) exporter: PathBuf,
}

/// Figures of one run.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// From durable to received, of each record.
    pub(super) lag_us: Vec<f64>,
    /// From appended to received, of each record.
    pub(super) append_lag_us: Vec<f64>,
    /// Of each poll of the writer that wrote or synced.
    pub(super) write_us: Vec<f64>,
    /// Of each sync.
    pub(super) sync_us: Vec<f64>,
    /// Records measured.
    pub(super) records: u64,
    /// Subscribers of the exporter when the measuring ended.
    pub(super) subscribers: u64,
    /// Violations that the exporter counted.
    pub(super) violations: u64,
    /// Subscribers that it let in.
    pub(super) accepted: u64,
    /// Connections of the bad ones.
    pub(super) bad_connections: u64,
}

/// Measures one way.
pub(super) fn measure(case: &Case, dir: &Path, with_bad: bool) -> Result<Run, Error> {
    let home = tempfile::tempdir_in(dir).map_err(super::failed("make a directory"))?;
    let mut plant = Plant::new(home.path())?;
    let mut exporter = plant.export(&case.exporter)?;
    let port = exporter.port()?;
    let healthy = Healthy::connect(port)?;
    let (end, over, connections) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    let (mut run, arrivals) = thread::scope(|scope| {
        let _over = AtTheEnd(&over);
        let healthy = scope.spawn(|| healthy.follow(&end, &over));
        for (number, kind) in (0..).zip(bad::ALL).filter(|_| with_bad) {
            let guest = bad::Guest::new(kind, port, &over, &connections, number);
            scope.spawn(move || guest.misbehave());
        }
        let mut pace = Pace::new(case.rate, &mut plant);
        pace.settle(&exporter, with_bad)?;
        let first = pace.begin();
        let until = Instant::now() + Duration::from_millis(case.measured_ms);
        pace.write_while(|| Instant::now() < until)?;
        let (write_us, sync_us) = (pace.write_us, pace.sync_us);
        let (subscribers, violations, accepted) = exporter.counts()?;
        plant.sync()?;
        end.store(plant.durable(), Ordering::Release);
        let arrivals = healthy
            .join()
            .map_err(|_| Error::WrongResult("the healthy subscriber panicked".to_owned()))??;
        let run = Run {
            write_us,
            sync_us,
            records: plant.durable() + 1 - first,
            subscribers,
            violations,
            accepted,
            ..Run::default()
        };
        Ok::<_, Error>((run, arrivals))
    })?;
    run.bad_connections = connections.into_inner();
    lags(&mut run, &plant, &arrivals)?;
    check(&run, with_bad)?;
    Ok(run)
}

/// Writes at a rate, and takes the time of it.
struct Pace<'a> {
    plant: &'a mut Plant,
    records_per_tick: u64,
    next_tick: Instant,
    write_us: Vec<f64>,
    sync_us: Vec<f64>,
}

impl<'a> Pace<'a> {
    fn new(rate: u64, plant: &'a mut Plant) -> Self {
        Self {
            plant,
            records_per_tick: rate / 1_000,
            next_tick: Instant::now(),
            write_us: Vec::new(),
            sync_us: Vec::new(),
        }
    }

    /// Writes until everything runs: some time, and until the bad ones are in.
    fn settle(&mut self, exporter: &Exporter, with_bad: bool) -> Result<(), Error> {
        let begin = Instant::now();
        loop {
            let until = Instant::now() + SETTLING;
            self.write_while(|| Instant::now() < until)?;
            let (subscribers, violations, _) = exporter.counts()?;
            if !with_bad || (subscribers >= LEAST_SEATED && violations >= LEAST_VIOLATIONS) {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                return Err(Error::WrongResult(format!(
                    "{subscribers} subscribers and {violations} violations after {PATIENCE:?}"
                )));
            }
        }
    }

    /// Forgets what was measured; the first sequence that counts from now on.
    fn begin(&mut self) -> u64 {
        self.write_us.clear();
        self.sync_us.clear();
        self.plant.begin()
    }

    fn write_while(&mut self, goes_on: impl Fn() -> bool) -> Result<(), Error> {
        while goes_on() {
            self.plant.append(self.records_per_tick)?;
            let before = self.plant.written();
            let begin_ns = monotonic_ns();
            self.plant.poll()?;
            let spent_ns = monotonic_ns() - begin_ns;
            if self.plant.written() != before {
                self.write_us.push(spent_ns as f64 / 1e3);
            }
            self.plant.publish();
            self.plant.drain_syncs(&mut self.sync_us);
            self.next_tick += TICK;
            thread::sleep(self.next_tick.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }
}

/// The lag of each measured record: the times at which it was appended, durable and there.
fn lags(run: &mut Run, plant: &Plant, arrivals: &[Arrival]) -> Result<(), Error> {
    let marks = plant.marks();
    let (mut appended, mut durable) = (marks.appended.iter(), marks.durable.iter());
    let (mut append, mut sync) = (appended.next(), durable.next());
    let mut seq = marks.first;
    for arrival in arrivals {
        if seq < arrival.from && seq <= arrival.to {
            return Err(Error::WrongResult(format!("record {seq} did not arrive")));
        }
        while seq <= arrival.to {
            while append.is_some_and(|mark| mark.seq < seq) {
                append = appended.next();
            }
            while sync.is_some_and(|mark| mark.seq < seq) {
                sync = durable.next();
            }
            let (Some(append), Some(sync)) = (append, sync) else {
                return Err(Error::WrongResult(format!(
                    "record {seq} was never durable"
                )));
            };
            let since = |ns: u64| arrival.ns.saturating_sub(ns) as f64 / 1e3;
            run.append_lag_us.push(since(append.ns));
            run.lag_us.push(since(sync.ns));
            seq += 1;
        }
    }
    Ok(())
}

/// Everything arrived, and the bad ones were there and bad, or nobody was.
fn check(run: &Run, with_bad: bool) -> Result<(), Error> {
    let wrong = |text: String| Err(Error::WrongResult(text));
    if run.lag_us.len() as u64 != run.records || run.records == 0 {
        return wrong(format!(
            "{} of {} records arrived",
            run.lag_us.len(),
            run.records
        ));
    }
    let (seated, violations) = (run.subscribers, run.violations);
    let is_as_wanted = match with_bad {
        true => seated >= LEAST_SEATED && violations >= LEAST_VIOLATIONS,
        false => (seated, violations, run.accepted) == (1, 0, 1),
    };
    if is_as_wanted {
        return Ok(());
    }
    wrong(format!("{seated} subscribers and {violations} violations"))
}

/// Lets everybody go, whatever happens.
struct AtTheEnd<'a>(&'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

const TICK: Duration = Duration::from_millis(1);
const SETTLING: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(10);
/// The healthy one and the four that never read.
const LEAST_SEATED: u64 = 5;
/// Two with garbage and one that acknowledges the future.
const LEAST_VIOLATIONS: u64 = 3;
