//! Offsets, sizes and codes of the stats file. Both sides fix only the header; the rest is found
//! through the directory and the descriptors.

/// `magic`: the bytes "TDSTATS1" as a little-endian word; 0 until the file is published.
pub const MAGIC: u64 = u64::from_le_bytes(*b"TDSTATS1");
/// Layout version that a reader must know.
pub const MAJOR: u16 = 1;
/// Grows when sections or fields are appended. 1: gap rows of 32 words instead of 16.
pub const MINOR: u16 = 1;
/// Written as is; a reader that sees other bytes has the wrong byte order.
pub const ENDIAN_MARK: u64 = 0x0102_0304_0506_0708;

/// Bytes of the header, the directory included.
pub const HEADER_LEN: usize = 4096;
/// u64, stored last with Release.
pub const AT_MAGIC: usize = 0;
/// u16 major, u16 minor, u32 header length.
pub const AT_VERSION: usize = 8;
/// u64 [`ENDIAN_MARK`].
pub const AT_ENDIAN: usize = 16;
/// u64 length of the file.
pub const AT_TOTAL_LEN: usize = 24;
/// u64 FNV-1a of the descriptor section: equal hashes mean equal descriptors.
pub const AT_SCHEMA_HASH: usize = 32;
/// 16 bytes, the kernel's boot id.
pub const AT_BOOT_ID: usize = 40;
/// 16 bytes, the incarnation uuid.
pub const AT_INCARNATION: usize = 56;
/// u64 start time of the process in clock ticks after boot (field 22 of /proc/PID/stat).
pub const AT_START_TICKS: usize = 72;
/// u32 pid, u32 uid.
pub const AT_PID: usize = 80;
/// u32 number of directory entries, u32 reserved.
pub const AT_SECTION_COUNT: usize = 88;
/// char\[64\], zero padded.
pub const AT_WORKER_ID: usize = 96;
/// char\[128\], zero padded.
pub const AT_RESOURCE: usize = 160;
/// char\[40\], zero padded.
pub const AT_BUILD_ID: usize = 288;
/// u64 generation of the configuration that the worker runs.
pub const AT_CONFIG_GENERATION: usize = 328;
/// u64 CLOCK_MONOTONIC at creation, ns.
pub const AT_START_MONO_NS: usize = 336;
/// u64 CLOCK_REALTIME at creation, ns since 1970 UTC.
pub const AT_START_REAL_NS: usize = 344;
/// u64 frequency of the time stamp counter, 0: not measured.
pub const AT_TSC_HZ: usize = 352;
/// u32 id of the clock behind every `*_mono_ns` ([`CLOCK_ID_MONOTONIC`]).
pub const AT_CLOCK_ID: usize = 360;
/// u64 last beat of the control thread, CLOCK_MONOTONIC ns. Own cache line.
pub const AT_HEARTBEAT_MONO_NS: usize = 512;
/// u64 passes of the hot loop. Own cache line with the next word.
pub const AT_PROGRESS: usize = 576;
/// u64 last packet, CLOCK_MONOTONIC ns, 0: none yet.
pub const AT_LAST_PACKET_MONO_NS: usize = 584;
/// u32 state, u32 sub-state in one word.
pub const AT_STATE: usize = 640;
/// u64 CLOCK_MONOTONIC ns of the last change of state.
pub const AT_STATE_SINCE_NS: usize = 648;
/// u64 generation of the last control command whose effect is visible.
pub const AT_COMMAND_GENERATION: usize = 656;
/// u32 committed, u32 reason in one word, stored last with Release.
pub const AT_EXIT: usize = 1024;
/// i32 exit code, u32 signal in one word.
pub const AT_EXIT_CODE: usize = 1032;
/// u64 CLOCK_MONOTONIC ns of the exit.
pub const AT_EXIT_MONO_NS: usize = 1040;
/// char\[256\], zero padded.
pub const AT_EXIT_MESSAGE: usize = 1048;
/// char\[128\], zero padded: where in the source.
pub const AT_EXIT_LOCATION: usize = 1304;
/// Directory of sections, 32 bytes each.
pub const AT_DIRECTORY: usize = 2048;

/// Bytes of a directory entry: u32 type, u16 version, u16 flags, u64 offset, u64 length,
/// u32 count, u32 stride.
pub const DIRECTORY_ENTRY_LEN: usize = 32;
/// Largest number of directory entries.
pub const DIRECTORY_CAPACITY: usize = 64;
/// Bytes of `worker_id`.
pub const WORKER_ID_LEN: usize = 64;
/// Bytes of `resource`.
pub const RESOURCE_LEN: usize = 128;
/// Bytes of `build_id`.
pub const BUILD_ID_LEN: usize = 40;
/// Bytes of the exit message.
pub const EXIT_MESSAGE_LEN: usize = 256;
/// Bytes of the exit location.
pub const EXIT_LOCATION_LEN: usize = 128;
/// CLOCK_MONOTONIC, the value of [`AT_CLOCK_ID`].
pub const CLOCK_ID_MONOTONIC: u32 = 1;

/// Section of descriptors.
pub const SECTION_DESC: u32 = 1;
/// Section of single values.
pub const SECTION_VALUES: u32 = 2;
/// Section of histograms.
pub const SECTION_HIST: u32 = 3;
/// Section of coherent groups; reserved, not written by this version.
pub const SECTION_GROUPS: u32 = 4;
/// Section of the gap table.
pub const SECTION_GAPS: u32 = 5;
/// Version of each section written here.
pub const SECTION_VERSION: u16 = 1;
/// Every section begins on such a boundary: two cache lines, as the prefetcher pulls pairs.
pub const SECTION_ALIGN: usize = 128;

/// Bytes of a descriptor.
pub const DESC_LEN: usize = 256;
/// u32 id in a descriptor.
pub const DESC_ID: usize = 0;
/// u16 kind, u16 flags.
pub const DESC_KIND: usize = 4;
/// u32 type of the section that holds the value.
pub const DESC_SECTION: usize = 8;
/// u32 slot in that section.
pub const DESC_SLOT: usize = 12;
/// u32 word in that slot.
pub const DESC_WORD: usize = 16;
/// u32 group, 0: none.
pub const DESC_GROUP: usize = 20;
/// char\[16\].
pub const DESC_UNIT: usize = 24;
/// char\[88\].
pub const DESC_NAME: usize = 40;
/// char\[128\], `k=v,…`.
pub const DESC_LABELS: usize = 128;
/// Bytes of a unit.
pub const UNIT_LEN: usize = 16;
/// Bytes of a name.
pub const NAME_LEN: usize = 88;
/// Bytes of the label pairs.
pub const LABELS_LEN: usize = 128;

/// Bytes of a slot in VALUES: 16 words, written by one thread.
pub const VALUE_STRIDE: usize = 128;
/// Words of a slot in VALUES.
pub const VALUE_WORDS: usize = VALUE_STRIDE / 8;
/// Largest number of metrics in a file.
pub const METRIC_CAPACITY: usize = 4096;

/// What a metric means to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// Only grows; rates are the reader's work.
    Counter = 1,
    /// Goes up and down.
    Gauge = 2,
    /// Highest value seen.
    HighWater = 3,
    /// A code of a named set.
    State = 4,
    /// A distribution in the HIST section.
    Histogram = 5,
}

impl Kind {
    /// The kind with this code.
    pub fn from_code(code: u16) -> Option<Self> {
        [
            Self::Counter,
            Self::Gauge,
            Self::HighWater,
            Self::State,
            Self::Histogram,
        ]
        .into_iter()
        .find(|kind| *kind as u16 == code)
    }
}

/// Life of a worker as it tells it itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Recovering the journal, opening sockets, catching up.
    Starting = 1,
    /// Does its work.
    Ready = 2,
    /// Told to stop, finishing.
    Draining = 3,
    /// Left in order; the exit record says how.
    Stopped = 4,
}

impl State {
    /// The state with this code.
    pub fn from_code(code: u32) -> Option<Self> {
        [Self::Starting, Self::Ready, Self::Draining, Self::Stopped]
            .into_iter()
            .find(|state| *state as u32 == code)
    }
}

/// Why a worker left, in its exit record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ExitReason {
    /// Drained as ordered.
    Drained = 1,
    /// The spec or configuration is wrong.
    Config = 2,
    /// Another worker holds the lock.
    Locked = 3,
    /// A capability or limit is missing.
    Capability = 4,
    /// A shared layout has another version.
    Layout = 5,
    /// An interface, address or device does not exist.
    Absent = 6,
    /// An operation failed for good.
    Failed = 7,
    /// A bug: the worker panicked.
    Panic = 8,
    /// A signal that is not the drain signal.
    Signal = 9,
}

impl ExitReason {
    /// The reason with this code.
    pub fn from_code(code: u32) -> Option<Self> {
        [
            Self::Drained,
            Self::Config,
            Self::Locked,
            Self::Capability,
            Self::Layout,
            Self::Absent,
            Self::Failed,
            Self::Panic,
            Self::Signal,
        ]
        .into_iter()
        .find(|reason| *reason as u32 == code)
    }
}

/// The usual text of an incarnation: lower-case hexadecimal with hyphens (RFC 9562 section 4).
pub fn format_incarnation(incarnation: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in incarnation.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    text
}

/// The bytes of an incarnation's text, hyphens optional. None when it is no uuid.
pub fn parse_incarnation(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| *character != '-')
        .map(|character| {
            character
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<_>>()?;
    let pairs: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |all, d| all << 4 | d))
        .collect();
    if digits.len() == 32 {
        pairs.try_into().ok()
    } else {
        None
    }
}

/// File name of an incarnation's stats file.
pub fn file_name(incarnation: &[u8; 16]) -> String {
    format!("stats.{}.dat", format_incarnation(incarnation))
}

/// FNV-1a, 64 bits.
pub fn schema_hash(descriptors: &[u8]) -> u64 {
    descriptors
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
