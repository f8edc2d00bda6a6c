use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::fence;

use rustix::fs::{FallocateFlags, fallocate};

use crate::error::RingError;
use crate::layout::{self, SLOT_HEADER_WORDS, Shape};
use crate::mapping::Mapping;
use crate::{RecordHeader, RingConfig};

/// The one writer of a ring. Never waits, never allocates, never enters the kernel.
pub struct Writer {
    mapping: Mapping,
    shape: Shape,
    next_seq: u64,
    log_id: [u8; 16],
}

impl Writer {
    /// Makes a new ring at `path`, mode 0640, in place of one that may be there: all memory
    /// allocated and touched, complete before it gets its name.
    ///
    /// # Errors
    ///
    /// [`RingError::Config`], or [`RingError::Io`] when the directory is absent or the file system
    /// has no room for `slot_count` slots. The old ring is untouched then.
    pub fn create(path: &Path, config: &RingConfig) -> Result<Self, RingError> {
        let shape = Shape::of(config)?;
        let temporary = temporary_path(path);
        let mapping = make(&temporary, shape).and_then(|mapping| {
            fill_header(&mapping, shape, config);
            fs::rename(&temporary, path)
                .map_err(|source| RingError::io("rename to the final name", &temporary, source))?;
            Ok(mapping)
        });
        let mapping = mapping.inspect_err(|_| remove_leftover(&temporary))?;
        Ok(Self {
            mapping,
            shape,
            next_seq: config.start_seq,
            log_id: config.log_id,
        })
    }

    /// Publishes one record and returns its sequence. The oldest record is overwritten, read or not.
    ///
    /// # Errors
    ///
    /// [`RingError::TooLong`]; the ring is unchanged then.
    #[inline]
    pub fn publish(&mut self, header: &RecordHeader, payload: &[u8]) -> Result<u64, RingError> {
        let capacity = self.shape.slot_bytes as usize;
        if payload.len() > capacity {
            return Err(RingError::TooLong {
                length: payload.len(),
                capacity,
            });
        }
        let seq = self.next_seq;
        // A slot was last touched one round of the ring ago: by now it is far away, and waiting for
        // it would cost as much as the rest of the record. Measured in tests/performance/RESULTS.md.
        self.mapping
            .prefetch(self.shape.slot_word(seq.wrapping_add(SLOTS_AHEAD)));
        let words = self.mapping.words();
        let slot = &words[self.shape.slot_word(seq)..][..self.shape.stride_words()];
        let (head, body) = slot.split_at(SLOT_HEADER_WORDS);
        // The fence keeps all stores of the record behind the odd stamp, the Release store keeps
        // them before the even one.
        head[0].store(layout::writing(seq), Relaxed);
        fence(Release);
        for (word, value) in head[1..].iter().zip(header.to_words(payload.len())) {
            word.store(value, Relaxed);
        }
        let mut chunks = payload.chunks_exact(8);
        for (word, chunk) in body.iter().zip(&mut chunks) {
            word.store(
                u64::from_le_bytes(chunk.try_into().expect("a chunk has 8 bytes")),
                Relaxed,
            );
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            body[payload.len() / 8].store(u64::from_le_bytes(last), Relaxed);
        }
        head[0].store(layout::whole(seq), Release);
        self.next_seq = seq + 1;
        words[layout::WORD_HEAD].store(self.next_seq, Release);
        Ok(seq)
    }

    /// Sequence of the next record.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The log that the records belong to.
    pub fn log_id(&self) -> [u8; 16] {
        self.log_id
    }

    /// Largest payload, in bytes.
    pub fn slot_bytes(&self) -> usize {
        self.shape.slot_bytes as usize
    }
}

/// How many slots ahead memory is fetched.
const SLOTS_AHEAD: u64 = 4;

impl RecordHeader {
    /// Words 1 to 4 of a slot.
    #[inline]
    fn to_words(self, length: usize) -> [u64; 4] {
        let codes = u64::from(self.kind)
            | u64::from(self.line) << 8
            | u64::from(self.stamp) << 16
            | u64::from(self.channel) << 32;
        [
            codes,
            u64::from(self.count) | (length as u64) << 32,
            self.venue_seq,
            self.rx_ns,
        ]
    }
}

fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}

fn make(path: &Path, shape: Shape) -> Result<Mapping, RingError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640);
    let file: File = options
        .open(path)
        .map_err(|source| RingError::io("create", path, source))?;
    let length = shape.total_len();
    // Never sparse: a store into a hole of a full tmpfs would be a SIGBUS in the receive thread.
    fallocate(&file, FallocateFlags::empty(), 0, length as u64)
        .map_err(|source| RingError::io("allocate", path, source))?;
    Mapping::writable(&file, length).map_err(|source| RingError::io("map", path, source))
}

fn fill_header(mapping: &Mapping, shape: Shape, config: &RingConfig) {
    let words = mapping.words();
    let [log_low, log_high] = layout::id_words(config.log_id);
    let [incarnation_low, incarnation_high] = layout::id_words(config.incarnation);
    for (index, value) in [
        (layout::WORD_SHAPE, shape.to_word()),
        (layout::WORD_TOTAL_LEN, shape.total_len() as u64),
        (layout::WORD_START_SEQ, config.start_seq),
        (layout::WORD_LOG_ID, log_low),
        (layout::WORD_LOG_ID + 1, log_high),
        (layout::WORD_INCARNATION, incarnation_low),
        (layout::WORD_INCARNATION + 1, incarnation_high),
        (layout::WORD_HEAD, config.start_seq),
    ] {
        words[index].store(value, Relaxed);
    }
    words[layout::WORD_MAGIC].store(layout::MAGIC, Release);
}

/// The caller already returns the error that counts; a file that was never made cannot be removed.
fn remove_leftover(path: &Path) {
    drop(fs::remove_file(path));
}
