//! What the log looks like from outside: looked at by one thread, for everybody.
//!
//! A look reads names and opens new files, see [`SegmentIndex`]; where no receiver tells how far the
//! log goes, it also follows the blocks of the newest segment. Whoever needs a newer look asks for
//! one and goes on; a look never costs the thread that serves anything, and looks take at most a
//! tenth of the time, unless one takes long: newcomers wait for the next.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tickdeck_journal::{
    IndexCounts, JournalError, Outline, SegmentIndex, SharedSegments, Tail, TailEnd,
};
use tickdeck_net::clock::monotonic_ns;

use super::metrics::SightMetrics;
use crate::exit::Failure;

/// Time between two looks that nobody asked for, and at least between two.
const PERIOD: Duration = Duration::from_secs(1);
const LEAST: Duration = Duration::from_millis(20);
/// After a look that took so long, this many times as long without one, but not more than a period.
const REST: u32 = 9;
/// Bytes of the newest segment that one look follows.
const TAIL_BYTES: u64 = 64 << 20;

/// One look.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    /// When it began.
    pub(super) taken_ns: u64,
    pub(super) outline: Arc<Outline>,
    /// How far the newest segment goes; `None` when nobody needs it, or when it cannot be read.
    pub(super) tail: Option<Tail>,
}

/// The newest look, and the bell to ask for another one.
#[derive(Clone, Debug)]
pub(super) struct SharedSight(Arc<Board>);

#[derive(Debug)]
struct Board {
    state: Mutex<State>,
    bell: Condvar,
    segments: SharedSegments,
}

#[derive(Debug)]
struct State {
    sight: Sight,
    is_asked: bool,
    is_end_told: bool,
    is_over: bool,
}

impl SharedSight {
    pub(super) fn get(&self) -> Sight {
        self.state().sight.clone()
    }

    /// Wants a look that begins after now, as soon as one may be taken.
    pub(super) fn ask(&self) {
        let mut state = self.state();
        if !state.is_asked {
            state.is_asked = true;
            self.0.bell.notify_one();
        }
    }

    /// A receiver tells how far the log goes: nobody needs to follow its blocks.
    pub(super) fn end_is_told(&self) {
        self.state().is_end_told = true;
    }

    /// Nobody needs looks any more: the thread ends.
    pub(super) fn close(&self) {
        self.state().is_over = true;
        self.0.bell.notify_one();
    }

    /// By what cursors find segments.
    pub(super) fn segments(&self) -> &SharedSegments {
        &self.0.segments
    }

    /// How old the newest look is: while one hangs, or all fail, it grows.
    pub(super) fn age(&self) -> Duration {
        Duration::from_nanos(monotonic_ns().saturating_sub(self.state().sight.taken_ns))
    }

    fn set(&self, sight: Sight) {
        self.state().sight = sight;
    }

    /// Waits until `late`, or, when somebody asks, until `soon`; false when it is over.
    fn wait(&self, soon: Instant, late: Instant) -> bool {
        let mut state = self.state();
        loop {
            if state.is_over {
                return false;
            }
            let due = if state.is_asked { soon } else { late };
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.is_asked = false;
                return true;
            }
            let woken = self.0.bell.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that looks.
pub(super) struct Lookout {
    index: SegmentIndex,
    shared: SharedSight,
    metrics: SightMetrics,
    counted: IndexCounts,
    /// Failed looks since the last sentence about them, and when the next one may be said.
    failures: u64,
    complain_ns: u64,
}

impl Lookout {
    /// Looks for the first time, so that nobody is served without.
    pub(super) fn open(dir: &Path, metrics: SightMetrics) -> Result<Self, JournalError> {
        let taken_ns = monotonic_ns();
        let mut index = SegmentIndex::open(dir)?;
        let segments = index.shared();
        let sight = Sight {
            taken_ns,
            outline: segments.outline(),
            tail: follow(&mut index),
        };
        let state = Mutex::new(State {
            sight,
            is_asked: false,
            is_end_told: false,
            is_over: false,
        });
        let board = Board {
            state,
            bell: Condvar::new(),
            segments,
        };
        Ok(Self {
            index,
            shared: SharedSight(Arc::new(board)),
            metrics,
            counted: IndexCounts::default(),
            failures: 0,
            complain_ns: 0,
        })
    }

    pub(super) fn shared(&self) -> SharedSight {
        self.shared.clone()
    }

    /// Works until it is closed.
    pub(super) fn run(mut self) -> Result<(), Failure> {
        let mut begun = Instant::now();
        loop {
            let ended = Instant::now();
            let soon = begun + pace(ended - begun);
            let has_more = |tail: &Tail| tail.end == TailEnd::More;
            let late = match self.shared.get().tail.as_ref().is_some_and(has_more) {
                true => soon,
                false => begun + PERIOD,
            };
            if !self.shared.wait(soon, late.max(soon)) {
                return Ok(());
            }
            begun = Instant::now();
            self.look();
        }
    }

    /// What cannot be seen now stays as it was seen last: those who are served go on.
    fn look(&mut self) {
        let taken_ns = monotonic_ns();
        match self.index.look() {
            Ok(()) => {
                let is_end_told = self.shared.state().is_end_told;
                let tail = match is_end_told {
                    true => None,
                    false => follow(&mut self.index),
                };
                let outline = self.index.shared().outline();
                self.shared.set(Sight {
                    taken_ns,
                    outline,
                    tail,
                });
            }
            Err(error) => self.complain(taken_ns, &error),
        }
        let counts = self.index.counts();
        let (listings, opens) = (&self.metrics.looks, &self.metrics.opens);
        listings.add(counts.listings - self.counted.listings);
        opens.add(counts.opens - self.counted.opens);
        self.counted = counts;
    }

    /// Says once a second that the log cannot be looked at.
    fn complain(&mut self, now_ns: u64, error: &JournalError) {
        self.metrics.failures.add(1);
        self.failures += 1;
        if now_ns >= self.complain_ns {
            self.complain_ns = now_ns + 1_000_000_000;
            let failures = std::mem::take(&mut self.failures);
            tracing::error!(%error, failures, "the log cannot be looked at; its last sight stays");
        }
    }
}

/// From the begin of a look that took so long to the next one, at least.
fn pace(took: Duration) -> Duration {
    LEAST.max(took + PERIOD.min(took.saturating_mul(REST)))
}

/// `None` when the newest segment cannot be read now: how far the log goes is not known then.
fn follow(index: &mut SegmentIndex) -> Option<Tail> {
    index
        .follow_tail(TAIL_BYTES)
        .inspect_err(|error| tracing::debug!(%error, "the log's end is not known"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short looks take a tenth of the time; one of a minute is followed by the next a second later.
    #[test]
    fn the_rest_after_a_look_is_bounded() {
        let ms = Duration::from_millis;
        assert_eq!(pace(Duration::ZERO), ms(20));
        assert_eq!(pace(ms(1)), ms(20));
        assert_eq!(pace(ms(50)), ms(500));
        assert_eq!(pace(ms(60_000)), ms(61_000));
    }
}
