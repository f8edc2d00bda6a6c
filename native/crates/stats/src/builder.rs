use std::path::Path;

use crate::error::StatsError;
use crate::file::StatsFile;
use crate::gaps::GapTable;
use crate::handles::{Counter, Gauge, HighWater, Histogram, Region, Single};
use crate::image::Metric;
use crate::layout::{self, Kind};

/// Who writes the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Worker id, unique on the host: "XNAS-rx". At most 64 bytes.
    pub worker_id: String,
    /// What it works on: the exchange. At most 128 bytes.
    pub resource: String,
    /// Build of the binary. At most 40 bytes.
    pub build_id: String,
    /// The incarnation uuid that the daemon chose.
    pub incarnation: [u8; 16],
    /// Generation of the configuration that it runs.
    pub generation: u64,
}

/// Collects the metrics of a worker, then creates the file.
///
/// Mistakes in names and labels are kept and returned by [`Builder::create`]; handles may be used
/// only after it.
pub struct Builder {
    identity: Identity,
    region: Region,
    metrics: Vec<Metric>,
    value_slots: usize,
    packing: Option<Packing>,
    histograms: usize,
    has_gaps: bool,
    mistake: Option<StatsError>,
}

/// The slot that values of one thread share, and how many words of it are taken.
struct Packing {
    slot: usize,
    taken: usize,
}

impl Builder {
    /// No metrics yet.
    pub fn new(identity: Identity) -> Self {
        let mut builder = Self {
            identity: identity.clone(),
            region: Region::default(),
            metrics: Vec::new(),
            value_slots: 0,
            packing: None,
            histograms: 0,
            has_gaps: false,
            mistake: None,
        };
        builder.check_text("worker id", &identity.worker_id, layout::WORKER_ID_LEN);
        builder.check_text("resource", &identity.resource, layout::RESOURCE_LEN);
        builder.check_text("build id", &identity.build_id, layout::BUILD_ID_LEN);
        builder
    }

    /// Packs the single values added from here on, 16 to a slot of 128 bytes, until the next call:
    /// all of them are written by one thread. Before the first call each value has a slot of its
    /// own, so that no two threads share a cache line whoever writes it.
    pub fn begin_thread(&mut self) {
        self.packing = Some(Packing {
            slot: 0,
            taken: layout::VALUE_WORDS,
        });
    }

    /// A value that only grows. `labels` are `k=v` pairs joined by commas, or empty. The same name
    /// and labels may be added once per thread: readers sum these shards.
    pub fn counter(&mut self, name: &str, unit: &str, labels: &str) -> Counter {
        self.single(Kind::Counter, name, unit, labels)
    }

    /// A value that goes up and down.
    pub fn gauge(&mut self, name: &str, unit: &str, labels: &str) -> Gauge {
        self.single(Kind::Gauge, name, unit, labels)
    }

    /// A code of a named set.
    pub fn state(&mut self, name: &str, unit: &str, labels: &str) -> Gauge {
        self.single(Kind::State, name, unit, labels)
    }

    /// The highest value seen.
    pub fn hwm(&mut self, name: &str, unit: &str, labels: &str) -> HighWater {
        self.single(Kind::HighWater, name, unit, labels)
    }

    /// A cumulative distribution.
    pub fn histogram(&mut self, name: &str, unit: &str, labels: &str) -> Histogram {
        let slot = self.histograms;
        self.histograms += 1;
        self.describe(Kind::Histogram, name, unit, labels, slot, 0);
        Histogram::new(self.region.clone(), slot)
    }

    /// The gap table, and with it the counter `gap_table_overflows_total`. One per file.
    pub fn gap_table(&mut self) -> GapTable {
        if self.has_gaps {
            self.refuse("section", "gap table", "at most one in a file");
        }
        self.has_gaps = true;
        let overflows = self.counter("gap_table_overflows_total", "gaps", "");
        GapTable::new(self.region.clone(), overflows)
    }

    /// Creates `stats.<incarnation>.dat` in `dir`, mode 0640, and publishes it in state
    /// [`State::Starting`](crate::State::Starting).
    ///
    /// # Errors
    ///
    /// The first mistake made in a definition, or the operation on the file that failed: the
    /// directory is absent, the file system is full. No file is left behind then.
    pub fn create(self, dir: &Path) -> Result<StatsFile, StatsError> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let plan = crate::image::Plan {
            identity: self.identity,
            metrics: self.metrics,
            value_slots: self.value_slots,
            histograms: self.histograms,
            has_gaps: self.has_gaps,
        };
        StatsFile::create(dir, &plan, &self.region)
    }

    fn single<T: Single>(&mut self, kind: Kind, name: &str, unit: &str, labels: &str) -> T {
        let (slot, word) = self.take_word();
        self.describe(kind, name, unit, labels, slot, word);
        T::at(self.region.clone(), slot * layout::VALUE_WORDS + word)
    }

    fn take_word(&mut self) -> (usize, usize) {
        match &mut self.packing {
            Some(packing) if packing.taken < layout::VALUE_WORDS => {
                packing.taken += 1;
                (packing.slot, packing.taken - 1)
            }
            packing => {
                if let Some(packing) = packing {
                    *packing = Packing {
                        slot: self.value_slots,
                        taken: 1,
                    };
                }
                self.value_slots += 1;
                (self.value_slots - 1, 0)
            }
        }
    }

    fn describe(
        &mut self,
        kind: Kind,
        name: &str,
        unit: &str,
        labels: &str,
        slot: usize,
        word: usize,
    ) {
        self.check_metric(kind, name, unit, labels);
        self.metrics.push(Metric {
            kind,
            name: name.to_owned(),
            unit: unit.to_owned(),
            labels: labels.to_owned(),
            slot,
            word,
        });
    }

    fn check_metric(&mut self, kind: Kind, name: &str, unit: &str, labels: &str) {
        if !is_name(name) || name.len() > layout::NAME_LEN {
            self.refuse(
                "metric name",
                name,
                "a-z, 0-9 and _, a letter first, at most 88 bytes",
            );
        }
        self.check_text("unit", unit, layout::UNIT_LEN);
        if labels.len() > layout::LABELS_LEN || !labels.split_terminator(',').all(is_label) {
            self.refuse(
                "label list",
                labels,
                "k=v pairs joined by commas, at most 128 bytes",
            );
        }
        if self.metrics.len() >= layout::METRIC_CAPACITY {
            self.refuse("metric", name, "at most 4,096 metrics in a file");
        }
        let differs =
            |other: &&Metric| other.name == name && (other.kind != kind || other.unit != unit);
        if self.metrics.iter().any(|other| differs(&other)) {
            self.refuse(
                "metric",
                name,
                "one kind and one unit for all metrics of a name",
            );
        }
    }

    fn check_text(&mut self, what: &'static str, text: &str, capacity: usize) {
        if text.len() > capacity || text.chars().any(char::is_control) {
            self.refuse(what, text, "printable text that fits its field");
        }
    }

    fn refuse(&mut self, what: &'static str, value: &str, expected: &'static str) {
        let mistake = StatsError::Definition {
            what,
            value: value.to_owned(),
            expected,
        };
        self.mistake.get_or_insert(mistake);
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_label(pair: &str) -> bool {
    pair.split_once('=').is_some_and(|(key, value)| {
        is_name(key) && !value.contains('=') && !value.chars().any(char::is_control)
    })
}
