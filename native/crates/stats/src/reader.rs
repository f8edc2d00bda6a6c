//! Reads a stats file back, whoever wrote it and whether the writer lives or not. It is the oracle
//! of the format: readers in other languages are tested against files that it accepts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::error::StatsError;
use crate::gaps::{GapRow, LEAST_SLOT_WORDS, SlotRead, read_slot};
use crate::histogram;
use crate::layout::{self, ExitReason, Kind, State};
use crate::mapping::Mapping;

/// A stats file mapped for reading; every call shows the present numbers.
pub struct Reader {
    path: PathBuf,
    mapping: Mapping,
    sections: Vec<Section>,
    descriptors: Vec<Descriptor>,
}

/// One single value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Name of the metric.
    pub name: String,
    /// `k=v` pairs joined by commas.
    pub labels: String,
    /// Unit of the value.
    pub unit: String,
    /// What the value means.
    pub kind: Kind,
    /// The value.
    pub value: u64,
}

/// One histogram at a moment; the buckets may be a few values ahead of the four sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramView {
    /// Name of the metric.
    pub name: String,
    /// `k=v` pairs joined by commas.
    pub labels: String,
    /// Unit of the values.
    pub unit: String,
    /// Values recorded.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The smallest, `u64::MAX` when empty.
    pub min: u64,
    /// The largest.
    pub max: u64,
    /// Counts of [`histogram::BUCKETS`] buckets.
    pub buckets: Vec<u64>,
}

/// The last words of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitRecord {
    /// Why it left; None for a code this reader does not know.
    pub reason: Option<ExitReason>,
    /// Exit code.
    pub code: i32,
    /// Signal, 0: none.
    pub signal: u32,
    /// CLOCK_MONOTONIC, ns.
    pub mono_ns: u64,
    /// What happened.
    pub message: String,
    /// Where in the source.
    pub location: String,
}

impl Reader {
    /// Maps the file and checks that everything it describes lies inside of it.
    ///
    /// # Errors
    ///
    /// [`StatsError::NotReady`] before publication, [`StatsError::Version`],
    /// [`StatsError::Damaged`], or [`StatsError::Io`].
    pub fn open(path: &Path) -> Result<Self, StatsError> {
        let file = File::open(path).map_err(|source| StatsError::io("open", path, source))?;
        let metadata = file
            .metadata()
            .map_err(|source| StatsError::io("stat", path, source))?;
        let length = metadata.len() as usize;
        if length < layout::HEADER_LEN {
            return Err(StatsError::NotReady {
                path: path.to_owned(),
            });
        }
        let mapping = Mapping::readable(&file, length)
            .map_err(|source| StatsError::io("map", path, source))?;
        let mut reader = Self {
            path: path.to_owned(),
            mapping,
            sections: Vec::new(),
            descriptors: Vec::new(),
        };
        reader.check_header(length as u64)?;
        reader.sections = reader.read_directory(length)?;
        reader.descriptors = reader.read_descriptors()?;
        Ok(reader)
    }

    /// The worker's state; None for a code this reader does not know.
    pub fn state(&self) -> Option<State> {
        State::from_code(self.u32(layout::AT_STATE))
    }

    /// A word of the header by its offset, such as [`layout::AT_HEARTBEAT_MONO_NS`].
    pub fn header_word(&self, offset: usize) -> u64 {
        self.word(offset / 8)
    }

    /// A text of the header by offset and capacity, such as [`layout::AT_WORKER_ID`].
    pub fn header_text(&self, offset: usize, capacity: usize) -> String {
        text(&self.bytes(offset, capacity))
    }

    /// All single values in the order of their definition.
    pub fn metrics(&self) -> Vec<Metric> {
        let values = self
            .descriptors
            .iter()
            .filter(|d| d.section == layout::SECTION_VALUES);
        values
            .map(|descriptor| Metric {
                name: descriptor.name.clone(),
                labels: descriptor.labels.clone(),
                unit: descriptor.unit.clone(),
                kind: descriptor.kind,
                value: self.word(descriptor.first_word),
            })
            .collect()
    }

    /// Sum of the values of this name and exactly these labels; None when there is none.
    pub fn value(&self, name: &str, labels: &str) -> Option<u64> {
        let series = |metric: &Metric| metric.name == name && metric.labels == labels;
        let shards = self
            .metrics()
            .into_iter()
            .filter(series)
            .map(|metric| metric.value);
        shards.reduce(u64::wrapping_add)
    }

    /// Where the first value of this name and exactly these labels lies, for [`at`](Self::at).
    pub fn position(&self, name: &str, labels: &str) -> Option<usize> {
        let wanted = |it: &&Descriptor| it.section == layout::SECTION_VALUES && it.name == name;
        let mut found = self.descriptors.iter().filter(wanted);
        found.find(|it| it.labels == labels).map(|it| it.first_word)
    }

    /// The value at a [`position`](Self::position), without a search.
    pub fn at(&self, position: usize) -> u64 {
        self.word(position)
    }

    /// All histograms in the order of their definition.
    pub fn histograms(&self) -> Vec<HistogramView> {
        let described = self
            .descriptors
            .iter()
            .filter(|d| d.section == layout::SECTION_HIST);
        described
            .map(|descriptor| {
                let word = |index: usize| self.word(descriptor.first_word + index);
                HistogramView {
                    name: descriptor.name.clone(),
                    labels: descriptor.labels.clone(),
                    unit: descriptor.unit.clone(),
                    count: word(histogram::WORD_COUNT),
                    sum: word(histogram::WORD_SUM),
                    min: word(histogram::WORD_MIN),
                    max: word(histogram::WORD_MAX),
                    buckets: (0..histogram::BUCKETS)
                        .map(|bucket| word(histogram::WORD_BUCKETS + bucket))
                        .collect(),
                }
            })
            .collect()
    }

    /// The rows of the gap table in the order of their ids; a torn row is left out.
    pub fn gaps(&self) -> Vec<GapRow> {
        let mut rows: Vec<GapRow> = self
            .gap_slots()
            .filter_map(|slot| match slot {
                SlotRead::Row(row) => Some(row),
                SlotRead::Empty | SlotRead::Torn => None,
            })
            .collect();
        rows.sort_by_key(|row| row.id);
        rows
    }

    /// Number of gap rows that cannot be read: their writer died inside of them.
    pub fn torn_gaps(&self) -> usize {
        self.gap_slots()
            .filter(|slot| *slot == SlotRead::Torn)
            .count()
    }

    /// The worker's last words; None when it left none.
    pub fn exit_record(&self) -> Option<ExitRecord> {
        let committed = self.mapping.words()[layout::AT_EXIT / 8].load(Acquire);
        (committed as u32 != 0).then(|| ExitRecord {
            reason: ExitReason::from_code((committed >> 32) as u32),
            code: self.u32(layout::AT_EXIT_CODE).cast_signed(),
            signal: self.u32(layout::AT_EXIT_CODE + 4),
            mono_ns: self.header_word(layout::AT_EXIT_MONO_NS),
            message: self.header_text(layout::AT_EXIT_MESSAGE, layout::EXIT_MESSAGE_LEN),
            location: self.header_text(layout::AT_EXIT_LOCATION, layout::EXIT_LOCATION_LEN),
        })
    }

    fn gap_slots(&self) -> impl Iterator<Item = SlotRead> {
        let table = self
            .sections
            .iter()
            .find(|section| section.kind == layout::SECTION_GAPS);
        let slots = table.map_or(0..0, |table| 0..table.count);
        let (first, stride) = table.map_or((0, 0), |table| (table.offset / 8, table.stride / 8));
        let words = self.mapping.words();
        slots.map(move |slot| read_slot(&words[first + slot * stride..][..stride]))
    }

    fn check_header(&self, length: u64) -> Result<(), StatsError> {
        if self.mapping.words()[0].load(Acquire) != layout::MAGIC {
            return Err(StatsError::NotReady {
                path: self.path.clone(),
            });
        }
        let major = self.u32(layout::AT_VERSION) as u16;
        if major != layout::MAJOR {
            return Err(StatsError::Version {
                path: self.path.clone(),
                major,
            });
        }
        let header_len = self.u32(layout::AT_VERSION + 4) as usize;
        let endian = self.header_word(layout::AT_ENDIAN);
        let total_len = self.header_word(layout::AT_TOTAL_LEN);
        let expected = (layout::HEADER_LEN, layout::ENDIAN_MARK, length);
        if (header_len, endian, total_len) != expected {
            let problem =
                format!("header {header_len}, {endian:#x}, {total_len} of {length} bytes");
            return Err(self.damaged(problem));
        }
        Ok(())
    }

    fn read_directory(&self, length: usize) -> Result<Vec<Section>, StatsError> {
        let count = self.u32(layout::AT_SECTION_COUNT) as usize;
        if count > layout::DIRECTORY_CAPACITY {
            return Err(self.damaged(format!("{count} sections")));
        }
        let entries = (0..count).map(|index| {
            let at = layout::AT_DIRECTORY + index * layout::DIRECTORY_ENTRY_LEN;
            let section = Section {
                kind: self.u32(at),
                offset: self.header_word(at + 8) as usize,
                count: self.u32(at + 24) as usize,
                stride: self.u32(at + 28) as usize,
            };
            let used = section.count.checked_mul(section.stride);
            let end = used.and_then(|used| section.offset.checked_add(used));
            let is_inside = end.is_some_and(|end| end <= length);
            if is_inside && section.offset.is_multiple_of(8) && section.has_known_stride() {
                Ok(section)
            } else {
                Err(self.damaged(format!("section {} is laid out wrongly", section.kind)))
            }
        });
        entries.collect()
    }

    fn read_descriptors(&self) -> Result<Vec<Descriptor>, StatsError> {
        let Some(table) = self
            .sections
            .iter()
            .find(|s| s.kind == layout::SECTION_DESC)
        else {
            return Ok(Vec::new());
        };
        let bytes = self.bytes(table.offset, table.count * table.stride);
        bytes
            .chunks_exact(layout::DESC_LEN)
            .map(|raw| self.descriptor(raw))
            .collect()
    }

    fn descriptor(&self, raw: &[u8]) -> Result<Descriptor, StatsError> {
        let u32_at = |at: usize| {
            u32::from_le_bytes(
                raw[at..at + 4]
                    .try_into()
                    .expect("four bytes of a descriptor"),
            )
        };
        let name = text(&raw[layout::DESC_NAME..][..layout::NAME_LEN]);
        let kind = Kind::from_code(u32_at(layout::DESC_KIND) as u16);
        let section = u32_at(layout::DESC_SECTION);
        let (slot, word) = (
            u32_at(layout::DESC_SLOT) as usize,
            u32_at(layout::DESC_WORD) as usize,
        );
        let place = self
            .sections
            .iter()
            .find(|s| s.kind == section && slot < s.count);
        match (place, kind) {
            (Some(place), Some(kind)) if place.holds(kind, word) => Ok(Descriptor {
                first_word: (place.offset + slot * place.stride) / 8 + word,
                labels: text(&raw[layout::DESC_LABELS..][..layout::LABELS_LEN]),
                unit: text(&raw[layout::DESC_UNIT..][..layout::UNIT_LEN]),
                name,
                kind,
                section,
            }),
            _ => Err(self.damaged(format!("{name:?} is described at no valid place"))),
        }
    }

    fn damaged(&self, problem: String) -> StatsError {
        StatsError::damaged(&self.path, problem)
    }

    fn word(&self, index: usize) -> u64 {
        self.mapping.words()[index].load(Relaxed)
    }

    fn u32(&self, offset: usize) -> u32 {
        (self.word(offset / 8) >> (offset % 8 * 8)) as u32
    }

    fn bytes(&self, offset: usize, length: usize) -> Vec<u8> {
        let words = &self.mapping.words()[offset / 8..][..length.div_ceil(8)];
        let mut bytes: Vec<u8> = words
            .iter()
            .flat_map(|w| w.load(Relaxed).to_le_bytes())
            .collect();
        bytes.truncate(length);
        bytes
    }
}

struct Section {
    kind: u32,
    offset: usize,
    count: usize,
    stride: usize,
}

impl Section {
    /// Strides of the sections that this version reads are fixed, but for that of the gap table,
    /// to whose slots later minor versions append words. Other sections are skipped.
    fn has_known_stride(&self) -> bool {
        match self.kind {
            layout::SECTION_DESC => self.stride == layout::DESC_LEN,
            layout::SECTION_VALUES => self.stride == layout::VALUE_STRIDE,
            layout::SECTION_HIST => self.stride == histogram::STRIDE,
            layout::SECTION_GAPS => {
                self.stride.is_multiple_of(8) && self.stride >= LEAST_SLOT_WORDS * 8
            }
            _ => true,
        }
    }

    /// Whether a metric of this kind may begin at a word of a slot.
    fn holds(&self, kind: Kind, word: usize) -> bool {
        match kind {
            Kind::Histogram => self.kind == layout::SECTION_HIST && word == 0,
            _ => self.kind == layout::SECTION_VALUES && word < layout::VALUE_WORDS,
        }
    }
}

struct Descriptor {
    name: String,
    labels: String,
    unit: String,
    kind: Kind,
    section: u32,
    first_word: usize,
}

fn text(field: &[u8]) -> String {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}
