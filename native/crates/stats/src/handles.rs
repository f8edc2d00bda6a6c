//! What the threads of a worker hold: one handle per metric, one writing thread per handle.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use crate::histogram::{
    STRIDE, WORD_BUCKETS, WORD_COUNT, WORD_MAX, WORD_MIN, WORD_SUM, WORDS, bucket_of,
};

/// The created file, set once by [`Builder::create`](crate::Builder::create).
pub(crate) type Region = Arc<OnceLock<Live>>;

/// The words of a created file and the first word of each section.
///
/// The mapping lives as long as the process: handles need no bookkeeping, and the panic hook may
/// write the exit record at any time.
pub(crate) struct Live {
    pub(crate) words: &'static [AtomicU64],
    pub(crate) values_at: usize,
    pub(crate) histograms_at: usize,
    pub(crate) gaps_at: usize,
}

/// A value that only grows.
pub struct Counter(Word);

impl Counter {
    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.set(self.0.get().wrapping_add(count));
    }

    /// Takes over a total that is counted elsewhere; it must not be below the present value.
    #[inline]
    pub fn set(&self, total: u64) {
        debug_assert!(total >= self.0.get(), "a counter only grows");
        self.0.set(total);
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A value that goes up and down, or a state code.
pub struct Gauge(Word);

impl Gauge {
    /// Stores `value`.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.set(value);
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// The highest value seen.
pub struct HighWater(Word);

impl HighWater {
    /// Stores `value` when it is above the present one.
    #[inline]
    pub fn raise(&self, value: u64) {
        if value > self.0.get() {
            self.0.set(value);
        }
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A cumulative distribution ([`crate::histogram`]).
pub struct Histogram {
    region: Region,
    slot: usize,
    words: Cell<Option<&'static [AtomicU64; WORDS]>>,
}

impl Histogram {
    /// Counts one value.
    #[inline]
    pub fn record(&self, value: u64) {
        self.record_many(value, 1);
    }

    /// Counts one value `count` times: all packets of a batch that share a time.
    #[inline]
    pub fn record_many(&self, value: u64, count: u64) {
        let words = self.words();
        let bump =
            |word: &AtomicU64, by: u64| word.store(word.load(Relaxed).wrapping_add(by), Relaxed);
        bump(&words[WORD_BUCKETS + bucket_of(value)], count);
        bump(&words[WORD_SUM], value.wrapping_mul(count));
        if value < words[WORD_MIN].load(Relaxed) {
            words[WORD_MIN].store(value, Relaxed);
        }
        if value > words[WORD_MAX].load(Relaxed) {
            words[WORD_MAX].store(value, Relaxed);
        }
        bump(&words[WORD_COUNT], count);
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.words()[WORD_COUNT].load(Relaxed)
    }

    pub(crate) fn new(region: Region, slot: usize) -> Self {
        Self {
            region,
            slot,
            words: Cell::new(None),
        }
    }

    #[inline]
    fn words(&self) -> &'static [AtomicU64; WORDS] {
        self.words.get().unwrap_or_else(|| self.resolve())
    }

    #[cold]
    fn resolve(&self) -> &'static [AtomicU64; WORDS] {
        let live = resolved(&self.region);
        let words = live.words[live.histograms_at + self.slot * STRIDE / 8..]
            .first_chunk()
            .expect("a histogram lies within the file that was laid out for it");
        self.words.set(Some(words));
        words
    }
}

/// One word of the file; the address is looked up at first use and kept.
///
/// The cell makes the handle `Send` but not `Sync`: the compiler holds the rule of one writer, and
/// load + store is enough where shared writers would need a locked addition (0.1 against 4 ns).
struct Word {
    region: Region,
    index: usize,
    word: Cell<Option<&'static AtomicU64>>,
}

impl Word {
    #[inline]
    fn get(&self) -> u64 {
        self.word().load(Relaxed)
    }

    #[inline]
    fn set(&self, value: u64) {
        self.word().store(value, Relaxed);
    }

    #[inline]
    fn word(&self) -> &'static AtomicU64 {
        self.word.get().unwrap_or_else(|| self.resolve())
    }

    #[cold]
    fn resolve(&self) -> &'static AtomicU64 {
        let live = resolved(&self.region);
        let word = &live.words[live.values_at + self.index];
        self.word.set(Some(word));
        word
    }
}

/// The handles of the kinds that live in VALUES.
pub(crate) trait Single {
    /// The handle of the word at `index` of the VALUES section.
    fn at(region: Region, index: usize) -> Self;
}

impl Single for Counter {
    fn at(region: Region, index: usize) -> Self {
        Self(Word {
            region,
            index,
            word: Cell::new(None),
        })
    }
}

impl Single for Gauge {
    fn at(region: Region, index: usize) -> Self {
        Self(Word {
            region,
            index,
            word: Cell::new(None),
        })
    }
}

impl Single for HighWater {
    fn at(region: Region, index: usize) -> Self {
        Self(Word {
            region,
            index,
            word: Cell::new(None),
        })
    }
}

/// The created file.
///
/// # Panics
///
/// When a handle is used before its file was created: a mistake in the start-up code.
pub(crate) fn resolved(region: &Region) -> &Live {
    region
        .get()
        .expect("a handle is used after its file was created")
}
