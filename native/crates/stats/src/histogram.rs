//! Base-2 log-linear buckets: 32 per octave, so a bucket is at most 1/32 (3.1 %) wide.
//!
//! Values below 32 have a bucket each. Above, the octave is the position of the highest bit and
//! the next five bits choose the bucket. [`LIMIT`] and everything beyond share the last bucket.
//!
//! In the file a histogram is `count, sum, min, max` and then the buckets, all u64 and cumulative.
//! `min` is `u64::MAX` while the histogram is empty; `sum`, `min` and `max` are of the real values,
//! not of the clamped ones.

/// Bits of resolution within an octave.
pub const PRECISION: u32 = 5;
/// Number of buckets.
pub const BUCKETS: usize = 1_088;
/// Largest value with a bucket of its own width: 275 s in nanoseconds.
pub const LIMIT: u64 = (1 << 38) - 1;

/// Word of the count in a histogram.
pub const WORD_COUNT: usize = 0;
/// Word of the sum.
pub const WORD_SUM: usize = 1;
/// Word of the smallest value.
pub const WORD_MIN: usize = 2;
/// Word of the largest value.
pub const WORD_MAX: usize = 3;
/// Word of the first bucket.
pub const WORD_BUCKETS: usize = 4;
/// Words of a histogram.
pub const WORDS: usize = WORD_BUCKETS + BUCKETS;
/// Bytes from one histogram to the next: whole pairs of cache lines.
pub const STRIDE: usize = (WORDS * 8).next_multiple_of(128);

/// The bucket of a value.
#[inline]
pub fn bucket_of(value: u64) -> usize {
    let value = value.min(LIMIT);
    if value < 1 << PRECISION {
        return value as usize;
    }
    let exponent = value.ilog2();
    let within = (value >> (exponent - PRECISION)) & 31;
    ((exponent - PRECISION + 1) as usize) * 32 + within as usize
}

/// Smallest value of a bucket. `bucket` must be below [`BUCKETS`].
pub fn bucket_low(bucket: usize) -> u64 {
    assert!(bucket < BUCKETS, "a bucket is below {BUCKETS}");
    let (octave, within) = (bucket / 32, (bucket % 32) as u64);
    if octave == 0 {
        within
    } else {
        (32 + within) << (octave - 1)
    }
}

/// Largest value of a bucket (the last one also holds everything beyond [`LIMIT`]).
pub fn bucket_high(bucket: usize) -> u64 {
    if bucket + 1 == BUCKETS {
        LIMIT
    } else {
        bucket_low(bucket + 1) - 1
    }
}

/// The value at or below which `fraction` (0 to 1) of the recorded values lie, rounded up to the
/// end of its bucket. None when nothing was recorded.
pub fn percentile(buckets: &[u64], fraction: f64) -> Option<u64> {
    let total: u64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    let wanted = ((total as f64 * fraction.clamp(0.0, 1.0)).ceil() as u64).max(1);
    let mut seen = 0;
    let bucket = buckets.iter().position(|count| {
        seen += count;
        seen >= wanted
    })?;
    Some(bucket_high(bucket))
}
