use std::cell::Cell;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicU64, fence};

use crate::RecordHeader;
use crate::error::RingError;
use crate::layout::{self, SLOT_HEADER_WORDS, Shape};
use crate::mapping::Mapping;

/// What a reader found at a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The whole record; its payload is the first `len` bytes of the buffer.
    Record {
        /// What came with the payload.
        header: RecordHeader,
        /// Bytes of the payload.
        len: usize,
    },
    /// Not published yet.
    NotYet,
    /// Overwritten, or older than the ring. The buffer's content is meaningless.
    Lapped {
        /// The oldest record that was still there a moment ago; always behind the one asked for.
        oldest_seq: u64,
    },
}

/// One reader of a ring, for one thread; any number may read the same ring, from any process, also
/// after its writer died. A reader keeps no position: the caller asks by sequence.
pub struct Reader {
    mapping: Mapping,
    shape: Shape,
    path: PathBuf,
    file_id: (u64, u64),
    start_seq: u64,
    log_id: [u8; 16],
    incarnation: [u8; 16],
    /// A head that this thread saw; reading behind it needs no look at the writer's cache line.
    seen_head: Cell<u64>,
}

impl Reader {
    /// Maps the ring at `path` read-only.
    ///
    /// # Errors
    ///
    /// [`RingError::Io`] when it does not exist or cannot be read, [`RingError::Format`] when it is
    /// no ring of this layout.
    pub fn open(path: &Path) -> Result<Self, RingError> {
        let file = OpenOptions::new()
            .read(true)
            .open(path)
            .map_err(|source| RingError::io("open", path, source))?;
        let (file_id, length) = identify(&file, path)?;
        if length < layout::HEADER_LEN || !length.is_multiple_of(8) {
            return Err(RingError::format(path, format!("{length} bytes")));
        }
        let mapping = Mapping::readable(&file, length)
            .map_err(|source| RingError::io("map", path, source))?;
        let words = mapping.words();
        if words[layout::WORD_MAGIC].load(Acquire) != layout::MAGIC {
            return Err(RingError::format(path, "it does not begin with TDRING01"));
        }
        let load = |index: usize| words[index].load(Relaxed);
        let shape = Shape::from_word(load(layout::WORD_SHAPE), path)?;
        if load(layout::WORD_TOTAL_LEN) != length as u64 || shape.total_len() != length {
            return Err(RingError::format(
                path,
                format!("{length} bytes for {shape:?}"),
            ));
        }
        let id = |index| layout::id_of([load(index), load(index + 1)]);
        let (log_id, incarnation) = (id(layout::WORD_LOG_ID), id(layout::WORD_INCARNATION));
        let (start_seq, head) = (load(layout::WORD_START_SEQ), load(layout::WORD_HEAD));
        // Whoever drains a dead ring spends every sequence up to its head.
        if !(start_seq..=layout::SEQ_MAX).contains(&head) {
            let problem = format!("a head of {head} in a ring that began at {start_seq}");
            return Err(RingError::format(path, problem));
        }
        let seen_head = Cell::new(start_seq);
        let path = path.to_owned();
        Ok(Self {
            mapping,
            shape,
            path,
            file_id,
            start_seq,
            log_id,
            incarnation,
            seen_head,
        })
    }

    /// Reads record `seq` into `out`, which must hold [`Reader::slot_bytes`].
    ///
    /// # Panics
    ///
    /// When `out` is too small, or when the ring holds a length that no writer stores.
    #[inline]
    pub fn read(&self, seq: u64, out: &mut [u8]) -> Read {
        assert!(
            out.len() >= self.slot_bytes(),
            "the buffer holds a slot's payload"
        );
        if seq >= self.seen_head.get() && seq >= self.refreshed_head() {
            return Read::NotYet;
        }
        let slot = &self.mapping.words()[self.shape.slot_word(seq)..][..self.shape.stride_words()];
        let (head, body) = slot.split_at(SLOT_HEADER_WORDS);
        let whole = layout::whole(seq);
        // Only spares the copy; the second look decides.
        if head[0].load(Acquire) != whole {
            return self.lapped(seq);
        }
        let words = [1, 2, 3, 4].map(|index: usize| head[index].load(Relaxed));
        let len = (words[1] >> 32) as usize;
        copy_payload(body, &mut out[..len.min(self.slot_bytes())]);
        fence(Acquire);
        if head[0].load(Relaxed) != whole {
            return self.lapped(seq);
        }
        assert!(len <= self.slot_bytes(), "a published record fits its slot");
        Read::Record {
            header: RecordHeader::from_words(words),
            len,
        }
    }

    /// Sequence of the next record to be published: the head.
    pub fn next_seq(&self) -> u64 {
        self.refreshed_head()
    }

    /// The oldest record that is still there, if the writer does not move.
    pub fn oldest_seq(&self) -> u64 {
        let oldest = self
            .refreshed_head()
            .saturating_sub(self.shape.slot_count.into());
        oldest.max(self.start_seq)
    }

    /// The log whose sequences the ring continues.
    pub fn log_id(&self) -> [u8; 16] {
        self.log_id
    }

    /// The writer's incarnation.
    pub fn incarnation(&self) -> [u8; 16] {
        self.incarnation
    }

    /// Largest payload, in bytes.
    pub fn slot_bytes(&self) -> usize {
        self.shape.slot_bytes as usize
    }

    /// Number of slots.
    pub fn slot_count(&self) -> u32 {
        self.shape.slot_count
    }

    /// Whether the path no longer names this ring: a new writer replaced it, or it was removed. One
    /// system call: ask when idle, not per record.
    pub fn writer_changed(&self) -> bool {
        fs::metadata(&self.path).map_or(true, |now| (now.dev(), now.ino()) != self.file_id)
    }

    fn refreshed_head(&self) -> u64 {
        let head = self.mapping.words()[layout::WORD_HEAD].load(Acquire);
        self.seen_head.set(head);
        head
    }

    #[cold]
    fn lapped(&self, seq: u64) -> Read {
        Read::Lapped {
            oldest_seq: self.oldest_seq().max(seq + 1),
        }
    }
}

impl RecordHeader {
    /// From words 1 to 4 of a slot.
    #[inline]
    fn from_words(words: [u64; 4]) -> Self {
        let [kind, line, stamp, _, channel_low, channel_high, _, _] = words[0].to_le_bytes();
        Self {
            kind,
            line,
            stamp,
            channel: u16::from_le_bytes([channel_low, channel_high]),
            count: words[1] as u32,
            venue_seq: words[2],
            rx_ns: words[3],
        }
    }
}

#[inline]
fn copy_payload(body: &[AtomicU64], out: &mut [u8]) {
    for (word, chunk) in body.iter().zip(out.chunks_mut(8)) {
        chunk.copy_from_slice(&word.load(Relaxed).to_le_bytes()[..chunk.len()]);
    }
}

fn identify(file: &File, path: &Path) -> Result<((u64, u64), usize), RingError> {
    let metadata = file
        .metadata()
        .map_err(|source| RingError::io("stat", path, source))?;
    let length = usize::try_from(metadata.len())
        .map_err(|_| RingError::format(path, "longer than the address space"))?;
    Ok(((metadata.dev(), metadata.ino()), length))
}
