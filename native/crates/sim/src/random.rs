//! A small seeded generator of random numbers.

/// xorshift128+ (Vigna 2014): fast, 128 bits of state, the same numbers everywhere for a seed.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 2],
}

impl Random {
    /// A generator for `seed`; any value is fine, zero included.
    pub fn new(seed: u64) -> Self {
        let first = splitmix64(seed);
        let second = splitmix64(first);
        // Both words zero is the one state that xorshift never leaves.
        Self {
            state: [first, second | 1],
        }
    }

    /// 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let [mut x, y] = self.state;
        x ^= x << 23;
        x = x ^ y ^ (x >> 17) ^ (y >> 26);
        self.state = [y, x];
        x.wrapping_add(y)
    }

    /// Uniform in `0..bound`. The bias of taking the high half of a product is below `bound / 2^64`.
    ///
    /// # Panics
    /// When `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a range has at least one value");
        let product = u128::from(self.next_u64()) * u128::from(bound);
        // The high half of a product of two 64-bit numbers has 64 bits.
        (product >> 64) as u64
    }

    /// Uniform in `[0, 1)`, 53 bits.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        unit(self.next_u64())
    }

    /// True with this probability.
    #[inline]
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Exponential with this mean, rounded down, at most `u32::MAX`.
    #[inline]
    pub fn exponential(&mut self, mean: f64) -> u32 {
        // `1 - unit` is in (0, 1], so the logarithm is finite; `as` saturates.
        (-(1.0 - self.unit()).ln() * mean) as u32
    }
}

/// 64 bits that depend on `seed` and `key` only: decisions that do not depend on their order.
#[inline]
pub fn mix(seed: u64, key: u64) -> u64 {
    splitmix64(seed ^ splitmix64(key))
}

/// Maps 64 random bits to `[0, 1)`.
#[inline]
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves that a seed fixes the numbers, and that another seed gives others.
    #[test]
    fn a_seed_fixes_the_numbers() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [(); 4].map(|()| random.next_u64())
        };
        assert_eq!(draw(0), draw(0));
        assert_ne!(draw(0), draw(1));
    }

    /// Proves range and mean of the draws within a few standard errors.
    #[test]
    fn draws_have_their_range_and_mean() {
        let mut random = Random::new(7);
        let count = 100_000;
        let mut sums = [0.0; 4];
        for _ in 0..count {
            let (unit, below) = (random.unit(), random.below(10));
            assert!((0.0..1.0).contains(&unit) && below < 10);
            sums[0] += unit;
            sums[1] += below as f64;
            sums[2] += f64::from(random.exponential(60.0));
            sums[3] += f64::from(u8::from(random.chance(0.25)));
        }
        let means = sums.map(|sum| sum / f64::from(count));
        for (mean, expected, tolerance) in [
            (means[0], 0.5, 0.01),
            (means[1], 4.5, 0.05),
            (means[2], 59.5, 1.0),
            (means[3], 0.25, 0.01),
        ] {
            assert!(
                (mean - expected).abs() < tolerance,
                "{mean} is not near {expected}"
            );
        }
    }

    /// Proves that mixed bits depend on both seed and key.
    #[test]
    fn mixing_depends_on_seed_and_key() {
        assert_eq!(mix(1, 2), mix(1, 2));
        assert_ne!(mix(1, 2), mix(2, 1));
        assert_ne!(mix(1, 2), mix(1, 3));
    }
}
