//! Lines that lose, repeat, delay and reorder packets, and are cut for a time.

use crate::random::Random;
use crate::world::MS;

/// How bad a line is.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    loss_permille: u64,
    duplicate_permille: u64,
    delay_ns: u64,
    jitter_ns: u64,
    straggler_permille: u64,
    cuts: Vec<(u64, u64)>,
}

impl Line {
    /// A line that loses nothing.
    pub(crate) fn quiet(delay_ns: u64) -> Self {
        Self {
            loss_permille: 0,
            duplicate_permille: 0,
            delay_ns,
            jitter_ns: 0,
            straggler_permille: 0,
            cuts: Vec::new(),
        }
    }

    /// The same line, cut from `start_ns` to `end_ns`.
    pub(crate) fn cut(mut self, start_ns: u64, end_ns: u64) -> Self {
        self.cuts.push((start_ns, end_ns));
        self
    }

    pub(crate) fn new(random: &mut Random, duration_ns: u64) -> Self {
        let cuts = (0..random.between(0, 2)).map(|_| {
            let start_ns = random.between(0, duration_ns);
            (start_ns, start_ns + random.between(1, duration_ns / 3))
        });
        let cuts = cuts.collect();
        Self {
            loss_permille: random.pick(&[0, 0, 10, 50, 200]),
            duplicate_permille: random.pick(&[0, 0, 20, 300]),
            delay_ns: random.between(0, MS),
            jitter_ns: random.pick(&[0, MS / 100, MS, 10 * MS]),
            straggler_permille: random.pick(&[0, 0, 5]),
            cuts,
        }
    }

    /// When the copies of a packet sent at `now_ns` arrive.
    pub(crate) fn arrivals(&self, random: &mut Random, now_ns: u64) -> Vec<u64> {
        let is_cut = self
            .cuts
            .iter()
            .any(|(start, end)| (*start..*end).contains(&now_ns));
        if is_cut || random.chance(self.loss_permille) {
            return Vec::new();
        }
        let copies = 1 + u64::from(random.chance(self.duplicate_permille));
        let arrival = |_| {
            let late_ns = if random.chance(self.straggler_permille) {
                300 * MS
            } else {
                0
            };
            now_ns + self.delay_ns + random.between(0, self.jitter_ns) + late_ns
        };
        (0..copies).map(arrival).collect()
    }
}
