//! When each datagram is due: recorded times, scaled, from the first one on.

/// Maps recorded times to times of the monotonic clock.
#[derive(Debug)]
pub(super) struct Pace {
    /// 0: everything is due at once.
    speed: f64,
    /// Recorded time of the first datagram, and when it was sent.
    begin: Option<(u64, u64)>,
}

impl Pace {
    /// `speed` is a multiple of the recorded pace; 0 is as fast as possible.
    pub(super) fn new(speed: f64) -> Self {
        Self { speed, begin: None }
    }

    /// When a datagram recorded at `at_ns` is due. The first one is due now, and so is one recorded
    /// before it.
    pub(super) fn due_ns(&mut self, at_ns: u64, now_ns: u64) -> u64 {
        let (first_ns, begin_ns) = *self.begin.get_or_insert((at_ns, now_ns));
        if self.speed == 0.0 {
            return begin_ns;
        }
        // Precise to a microsecond over a month: an f64 holds 53 bits.
        let since_ns = at_ns.saturating_sub(first_ns) as f64 / self.speed;
        begin_ns.saturating_add(since_ns as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances shrink and grow with the speed; the past is due at once.
    #[test]
    fn distances_scale() {
        for (speed, distance) in [
            (1.0, 1_000_000),
            (10.0, 100_000),
            (0.5, 2_000_000),
            (0.0, 0),
        ] {
            let mut pace = Pace::new(speed);
            assert_eq!(pace.due_ns(5_000_000_000, 77), 77);
            assert_eq!(
                pace.due_ns(5_001_000_000, 90),
                77 + distance,
                "speed {speed}"
            );
            assert_eq!(pace.due_ns(4_000_000_000, 95), 77);
        }
    }

    /// Times far apart, and tiny speeds, do not overflow.
    #[test]
    fn extremes_saturate() {
        let mut pace = Pace::new(1e-300);
        assert_eq!(pace.due_ns(0, 5), 5);
        assert_eq!(pace.due_ns(u64::MAX, 5), u64::MAX);
    }
}
