//! The bytes of a new file, pure: what goes where before anything is mapped.

use crate::builder::Identity;
use crate::gaps::{SLOT_STRIDE, SLOTS};
use crate::histogram::{STRIDE, WORD_MIN};
use crate::layout::{self, Kind, State};

/// A metric and where its value lives.
pub(crate) struct Metric {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) labels: String,
    pub(crate) slot: usize,
    pub(crate) word: usize,
}

/// Everything that a file holds, by name and number.
pub(crate) struct Plan {
    pub(crate) identity: Identity,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) value_slots: usize,
    pub(crate) histograms: usize,
    pub(crate) has_gaps: bool,
}

/// The process and the moment; taken by the caller, so that an image can be reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) boot_id: [u8; 16],
    pub(crate) start_ticks: u64,
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) mono_ns: u64,
    pub(crate) real_ns: u64,
}

/// Byte offsets of the sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sections {
    pub(crate) descriptors_at: usize,
    pub(crate) values_at: usize,
    pub(crate) histograms_at: usize,
    pub(crate) gaps_at: usize,
    pub(crate) total_len: usize,
}

impl Plan {
    /// Places the sections behind the header, each on its boundary.
    pub(crate) fn sections(&self) -> Sections {
        let after =
            |at: usize, length: usize| (at + length).next_multiple_of(layout::SECTION_ALIGN);
        let descriptors_at = layout::HEADER_LEN;
        let values_at = after(descriptors_at, self.metrics.len() * layout::DESC_LEN);
        let histograms_at = after(values_at, self.value_slots * layout::VALUE_STRIDE);
        let gaps_at = after(histograms_at, self.histograms * STRIDE);
        let gaps_len = if self.has_gaps {
            SLOTS * SLOT_STRIDE
        } else {
            0
        };
        let total_len = after(gaps_at, gaps_len);
        Sections {
            descriptors_at,
            values_at,
            histograms_at,
            gaps_at,
            total_len,
        }
    }

    /// The whole file with `magic` still zero.
    pub(crate) fn image(&self, origin: &Origin) -> Vec<u8> {
        let sections = self.sections();
        let mut image = Image(vec![0; sections.total_len]);
        let descriptors = self.descriptors();
        image.put(sections.descriptors_at, &descriptors);
        for slot in 0..self.histograms {
            image.put_u64(
                sections.histograms_at + slot * STRIDE + WORD_MIN * 8,
                u64::MAX,
            );
        }
        self.put_identity(&mut image, origin);
        image.put_u64(layout::AT_SCHEMA_HASH, layout::schema_hash(&descriptors));
        self.put_directory(&mut image, &sections);
        image.0
    }

    fn put_identity(&self, image: &mut Image, origin: &Origin) {
        let identity = &self.identity;
        image.put(layout::AT_VERSION, &layout::MAJOR.to_le_bytes());
        image.put(layout::AT_VERSION + 2, &layout::MINOR.to_le_bytes());
        image.put_u32(layout::AT_VERSION + 4, layout::HEADER_LEN);
        image.put_u64(layout::AT_ENDIAN, layout::ENDIAN_MARK);
        image.put_u64(layout::AT_TOTAL_LEN, self.sections().total_len as u64);
        image.put(layout::AT_BOOT_ID, &origin.boot_id);
        image.put(layout::AT_INCARNATION, &identity.incarnation);
        image.put_u64(layout::AT_START_TICKS, origin.start_ticks);
        image.put(layout::AT_PID, &origin.pid.to_le_bytes());
        image.put(layout::AT_PID + 4, &origin.uid.to_le_bytes());
        image.put(layout::AT_WORKER_ID, identity.worker_id.as_bytes());
        image.put(layout::AT_RESOURCE, identity.resource.as_bytes());
        image.put(layout::AT_BUILD_ID, identity.build_id.as_bytes());
        image.put_u64(layout::AT_CONFIG_GENERATION, identity.generation);
        image.put_u64(layout::AT_START_MONO_NS, origin.mono_ns);
        image.put_u64(layout::AT_START_REAL_NS, origin.real_ns);
        image.put(
            layout::AT_CLOCK_ID,
            &layout::CLOCK_ID_MONOTONIC.to_le_bytes(),
        );
        image.put_u64(layout::AT_HEARTBEAT_MONO_NS, origin.mono_ns);
        image.put_u64(layout::AT_STATE, State::Starting as u64);
        image.put_u64(layout::AT_STATE_SINCE_NS, origin.mono_ns);
    }

    fn put_directory(&self, image: &mut Image, sections: &Sections) {
        let gap_slots = if self.has_gaps { SLOTS } else { 0 };
        let all = [
            (
                layout::SECTION_DESC,
                sections.descriptors_at,
                self.metrics.len(),
                layout::DESC_LEN,
            ),
            (
                layout::SECTION_VALUES,
                sections.values_at,
                self.value_slots,
                layout::VALUE_STRIDE,
            ),
            (
                layout::SECTION_HIST,
                sections.histograms_at,
                self.histograms,
                STRIDE,
            ),
            (
                layout::SECTION_GAPS,
                sections.gaps_at,
                gap_slots,
                SLOT_STRIDE,
            ),
        ];
        let present = all.iter().filter(|(_, _, count, _)| *count > 0);
        let mut written = 0;
        for (section, offset, count, stride) in present {
            let at = layout::AT_DIRECTORY + written * layout::DIRECTORY_ENTRY_LEN;
            image.put(at, &section.to_le_bytes());
            image.put(at + 4, &layout::SECTION_VERSION.to_le_bytes());
            image.put_u64(at + 8, *offset as u64);
            image.put_u64(at + 16, (count * stride) as u64);
            image.put_u32(at + 24, *count);
            image.put_u32(at + 28, *stride);
            written += 1;
        }
        image.put_u32(layout::AT_SECTION_COUNT, written);
    }

    fn descriptors(&self) -> Vec<u8> {
        let mut image = Image(vec![0; self.metrics.len() * layout::DESC_LEN]);
        for (index, metric) in self.metrics.iter().enumerate() {
            let at = index * layout::DESC_LEN;
            let section = match metric.kind {
                Kind::Histogram => layout::SECTION_HIST,
                _ => layout::SECTION_VALUES,
            };
            image.put_u32(at + layout::DESC_ID, index + 1);
            image.put(at + layout::DESC_KIND, &(metric.kind as u16).to_le_bytes());
            image.put(at + layout::DESC_SECTION, &section.to_le_bytes());
            image.put_u32(at + layout::DESC_SLOT, metric.slot);
            image.put_u32(at + layout::DESC_WORD, metric.word);
            image.put(at + layout::DESC_UNIT, metric.unit.as_bytes());
            image.put(at + layout::DESC_NAME, metric.name.as_bytes());
            image.put(at + layout::DESC_LABELS, metric.labels.as_bytes());
        }
        image.0
    }
}

/// Bytes with fields put at offsets.
struct Image(Vec<u8>);

impl Image {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_u64(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    /// A number that is bounded far below 2^32 by the capacities of the format.
    fn put_u32(&mut self, at: usize, value: usize) {
        let value = u32::try_from(value).expect("slots and counts are bounded by METRIC_CAPACITY");
        self.put(at, &value.to_le_bytes());
    }
}
