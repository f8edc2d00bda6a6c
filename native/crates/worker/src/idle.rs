//! What a thread does when it found nothing to do.

use std::time::Duration;

/// Spins, then yields, then sleeps; any work starts it over.
#[derive(Debug)]
pub struct Idle {
    spins: u32,
    yields: u32,
    sleep: Duration,
    rounds: u32,
}

impl Idle {
    /// `spins` and `yields` are rounds before the next, gentler step; `sleep` is the last one.
    pub fn new(spins: u32, yields: u32, sleep: Duration) -> Self {
        Self {
            spins,
            yields,
            sleep,
            rounds: 0,
        }
    }

    /// Waits as long as the past rounds without work suggest; returns at once after work.
    pub fn idle(&mut self, work_count: usize) {
        if work_count > 0 {
            self.rounds = 0;
            return;
        }
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds <= self.spins {
            std::hint::spin_loop();
        } else if self.rounds <= self.spins.saturating_add(self.yields) {
            std::thread::yield_now();
        } else {
            std::thread::sleep(self.sleep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work brings the strategy back to its first, cheapest step.
    #[test]
    fn work_starts_it_over() {
        let mut idle = Idle::new(2, 2, Duration::ZERO);
        for _ in 0..10 {
            idle.idle(0);
        }
        assert_eq!(idle.rounds, 10);
        idle.idle(1);
        assert_eq!(idle.rounds, 0);
    }
}
