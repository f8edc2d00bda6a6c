//! S06: the time of a MAC comparison tells nothing about where the MACs differ.

use std::hint::black_box;
use std::time::Instant;

use tickdeck_export::auth::Mac;

/// Welch's t over two classes: MACs that differ in the first byte, and in the last one only. Each
/// sample is a batch, since one comparison is below the clock's resolution; the slowest twentieth,
/// which interrupts make, is left out.
#[test]
#[ignore = "a measurement that needs a quiet core: cargo test --release -p tickdeck-export --test timing -- --ignored"]
fn comparison_time_does_not_depend_on_the_place() {
    let secret = [0xA5; Mac::LEN];
    let differing_at = |at: usize| {
        let mut bytes = secret;
        bytes[at] ^= 1;
        Mac::new(bytes)
    };
    let classes = [differing_at(0), differing_at(Mac::LEN - 1)];
    let secret = Mac::new(secret);
    let mut samples = [Vec::new(), Vec::new()];
    let mut random = 1_u64;
    for _ in 0..1_000_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let class = (random >> 40) as usize & 1;
        let begun = Instant::now();
        for _ in 0..16 {
            black_box(black_box(&secret).matches(black_box(&classes[class])));
        }
        samples[class].push(begun.elapsed().as_nanos() as f64);
    }
    let [first, last] = samples.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.truncate(times.len() * 19 / 20);
        let count = times.len() as f64;
        let mean = times.iter().sum::<f64>() / count;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    let t = (first.0 - last.0) / (first.1 + last.1).sqrt();
    println!(
        "t = {t:.2}: first byte {:.1} ns, last byte {:.1} ns per 16",
        first.0, last.0
    );
    assert!(t.abs() < 4.5, "t = {t}");
}
