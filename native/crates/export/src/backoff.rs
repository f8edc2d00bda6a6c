//! When to try again: exponential with full jitter, so that many who lost the same peer do not come
//! back together.

/// Delays between tries. The n-th is drawn evenly from the shortest one to that times 2^n, and never
/// above the longest.
#[derive(Clone, Debug)]
pub struct Backoff {
    first_ms: u64,
    tries: u32,
    random: u64,
}

impl Backoff {
    /// The longest delay, ms.
    pub const LONGEST_MS: u64 = 10_000;

    /// Begins with at least `first_ms`. `seed` is to differ between processes.
    #[must_use]
    pub fn new(first_ms: u64, seed: u64) -> Self {
        Self {
            first_ms: first_ms.clamp(1, Self::LONGEST_MS),
            tries: 0,
            random: seed,
        }
    }

    /// How long to wait before the next try, ms.
    pub fn next_ms(&mut self) -> u64 {
        self.tries = self.tries.saturating_add(1);
        // A factor above 2^20 is above the longest whatever the first is.
        let top_ms = (self.first_ms << self.tries.min(20)).min(Self::LONGEST_MS);
        let span_ms = top_ms - self.first_ms + 1;
        self.first_ms + self.draw() % span_ms
    }

    /// The peer was there and answered: begin anew.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;

    /// X17: every delay lies in 0.1-10 s, the range doubles up to the longest, and the draws fill it.
    #[test]
    fn delays_have_full_jitter() {
        for try_number in 0..12_u32 {
            let top_ms = (100 << (try_number + 1)).min(Backoff::LONGEST_MS);
            let mut longest_ms = 0;
            for seed in 0..2_000 {
                let mut backoff = Backoff::new(100, seed);
                for _ in 0..try_number {
                    backoff.next_ms();
                }
                let delay_ms = backoff.next_ms();
                assert!(
                    (100..=top_ms).contains(&delay_ms),
                    "{try_number}: {delay_ms}"
                );
                longest_ms = longest_ms.max(delay_ms);
            }
            assert!(
                longest_ms * 100 > top_ms * 95,
                "{try_number}: at most {longest_ms}"
            );
        }
    }

    /// An answer of the peer makes the next delay short again.
    #[test]
    fn reset_begins_anew() {
        let mut backoff = Backoff::new(100, 1);
        for _ in 0..100 {
            backoff.next_ms();
        }
        backoff.reset();
        assert!(backoff.next_ms() <= 200);
        assert!(Backoff::new(60_000, 1).next_ms() <= Backoff::LONGEST_MS);
    }
}
