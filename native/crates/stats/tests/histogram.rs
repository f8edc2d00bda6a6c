//! The bucket index: bounds, order, inverse, and what a percentile may be wrong by.

use proptest::prelude::*;
use tickdeck_stats::histogram::{BUCKETS, LIMIT, bucket_high, bucket_low, bucket_of, percentile};

/// The buckets tile the range from 0 to LIMIT without hole or overlap.
#[test]
fn buckets_follow_one_another() {
    assert_eq!(bucket_low(0), 0);
    for bucket in 1..BUCKETS {
        assert_eq!(
            bucket_low(bucket),
            bucket_high(bucket - 1) + 1,
            "bucket {bucket}"
        );
    }
    assert_eq!(bucket_high(BUCKETS - 1), LIMIT);
    assert_eq!(
        (bucket_of(LIMIT), bucket_of(LIMIT + 1), bucket_of(u64::MAX)),
        (1087, 1087, 1087)
    );
}

proptest! {
    /// A value lies in its bucket, and the bucket is no wider than 1/32 of the value.
    #[test]
    fn a_bucket_holds_its_values_within_the_error_bound(value in magnitudes()) {
        let bucket = bucket_of(value);
        let (low, high) = (bucket_low(bucket), bucket_high(bucket));
        prop_assert!((low..=high).contains(&value));
        prop_assert!((high - low) * 32 <= value, "width {} of {value}", high - low);
    }

    /// A larger value is never in a lower bucket.
    #[test]
    fn the_index_is_monotonic(a in any::<u64>(), b in any::<u64>()) {
        prop_assert!(bucket_of(a.min(b)) <= bucket_of(a.max(b)));
    }

    /// A percentile is the exact one rounded up to the end of its bucket: never below, and at most
    /// 1/32 above.
    #[test]
    fn a_percentile_is_at_most_a_bucket_too_high(
        mut values in prop::collection::vec(magnitudes(), 1..200),
        fraction in 0.0..=1.0f64,
    ) {
        let mut buckets = vec![0; BUCKETS];
        for value in &values {
            buckets[bucket_of(*value)] += 1;
        }
        values.sort_unstable();
        let rank = ((values.len() as f64 * fraction).ceil() as usize).max(1);
        let exact = values[rank - 1];
        let estimate = percentile(&buckets, fraction).unwrap();
        prop_assert!(exact <= estimate && (estimate - exact) * 32 <= exact);
    }
}

/// Values of every magnitude alike, up to LIMIT.
fn magnitudes() -> impl Strategy<Value = u64> {
    (0u32..=38, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
}
