//! Who is too slow, and what happens then. Nothing of it slows the journal.

/// What is done with a subscriber that is too far behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPolicy {
    /// It is cut, with the reason.
    Disconnect,
    /// It is told a gap and goes on at the end.
    SkipToLive,
    /// It keeps its place as long as it lives; the log is retained for it, within caps.
    Retain,
}

impl SlowPolicy {
    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::SkipToLive => "skip_to_live",
            Self::Retain => "retain",
        }
    }
}

/// From when on a subscriber is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowLimits {
    /// So many bytes behind ...
    pub soft_bytes: u64,
    /// ... for so long.
    pub soft_ns: u64,
    /// At once: so many bytes behind.
    pub hard_bytes: u64,
    /// At once: so long behind.
    pub hard_ns: u64,
}

/// How far behind a subscriber is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lag {
    pub(super) bytes: u64,
    pub(super) age_ns: u64,
}

/// Watches one subscriber.
#[derive(Clone, Debug)]
pub(super) struct SlowWatch {
    limits: SlowLimits,
    /// Reads history of its own wish: held to a floor of progress instead of the limits.
    catching_up: bool,
    soft_since_ns: Option<u64>,
    /// Begin of the present period of the floor, and what was acknowledged in it.
    period_ns: u64,
    acked_bytes: u64,
}

impl SlowWatch {
    /// Least that has to be acknowledged in each soft period while history is read.
    const FLOOR_BYTES: u64 = 64 * 1024;

    pub(super) fn new(limits: SlowLimits, now_ns: u64) -> Self {
        Self {
            limits,
            catching_up: true,
            soft_since_ns: None,
            period_ns: now_ns,
            acked_bytes: 0,
        }
    }

    pub(super) fn is_catching_up(&self) -> bool {
        self.catching_up
    }

    pub(super) fn note_acked(&mut self, bytes: u64) {
        self.acked_bytes += bytes;
    }

    /// Why it is too slow now, in words; `None` when it is not.
    pub(super) fn judge(&mut self, now_ns: u64, lag: Lag) -> Option<String> {
        if self.catching_up {
            let is_near = lag.bytes <= self.limits.soft_bytes && lag.age_ns <= self.limits.hard_ns;
            if !is_near {
                return self.judge_progress(now_ns);
            }
            self.catching_up = false;
        }
        if lag.bytes > self.limits.hard_bytes {
            let (bytes, limit) = (lag.bytes, self.limits.hard_bytes);
            return Some(format!("{bytes} bytes behind, the limit is {limit}"));
        }
        if lag.age_ns > self.limits.hard_ns {
            let (ms, limit) = (lag.age_ns / 1_000_000, self.limits.hard_ns / 1_000_000);
            return Some(format!("{ms} ms behind, the limit is {limit}"));
        }
        if lag.bytes <= self.limits.soft_bytes {
            self.soft_since_ns = None;
            return None;
        }
        let since_ns = *self.soft_since_ns.get_or_insert(now_ns);
        (now_ns - since_ns > self.limits.soft_ns).then(|| {
            let (bytes, ms) = (self.limits.soft_bytes, self.limits.soft_ns / 1_000_000);
            format!("more than {bytes} bytes behind for {ms} ms")
        })
    }

    /// The next time at which the answer may change by time alone.
    pub(super) fn deadline_ns(&self) -> Option<u64> {
        if self.catching_up {
            return Some(self.period_ns + self.limits.soft_ns + 1);
        }
        self.soft_since_ns
            .map(|since_ns| since_ns + self.limits.soft_ns + 1)
    }

    /// Starts anew, as after a skip.
    pub(super) fn forgive(&mut self) {
        self.soft_since_ns = None;
    }

    fn judge_progress(&mut self, now_ns: u64) -> Option<String> {
        if now_ns - self.period_ns <= self.limits.soft_ns {
            return None;
        }
        let acked = std::mem::take(&mut self.acked_bytes);
        self.period_ns = now_ns;
        (acked < Self::FLOOR_BYTES).then(|| {
            let (floor, ms) = (Self::FLOOR_BYTES, self.limits.soft_ns / 1_000_000);
            format!("reads history, acknowledged {acked} bytes in {ms} ms, least is {floor}")
        })
    }
}
