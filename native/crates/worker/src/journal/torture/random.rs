//! Numbers that follow from a seed. The simulator has better ones, and stays out of production.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// A generator for a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Nearly uniform in `0..bound`; `bound` is above 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        finish(self.0) % bound
    }
}

/// 64 bits that depend on `seed` and `key` only: content that does not depend on its order.
pub(super) fn mix(seed: u64, key: u64) -> u64 {
    finish(seed ^ finish(key.wrapping_add(STEP)))
}

fn finish(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
