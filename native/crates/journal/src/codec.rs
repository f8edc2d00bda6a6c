//! Compression of whole blocks.
//!
//! A block is compressed by one call, and stored so only when that saves a tenth: a smaller gain is
//! not worth the reader's time, and what cannot be compressed costs no more than it is. Contexts
//! and buffers are made once, so that a running writer allocates nothing.
//!
//! Decompression trusts nothing: the caller has checked `raw_len` against the cap of 1 MiB, the
//! output has exactly this room, and a result of another length is an error.

use std::fmt;
use std::io;

use lz4_flex::block::{self as lz4, CompressTable};
use zstd::bulk as zstandard;

use crate::error::JournalError;
use crate::format::MAX_BLOCK_PAYLOAD;

/// How the payload of a block is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// Stored as it is.
    #[default]
    None,
    /// LZ4 block format: cheaper to write and much cheaper to read.
    Lz4,
    /// Zstandard, level 1: about a third smaller than LZ4.
    Zstd,
}

impl Codec {
    /// The codec of a configured name: `none`, `lz4` or `zstd`.
    ///
    /// # Errors
    ///
    /// [`JournalError::BadSetting`] for another name.
    pub fn from_name(name: &str) -> Result<Self, JournalError> {
        let known = [Self::None, Self::Lz4, Self::Zstd];
        let found = known.into_iter().find(|codec| codec.name() == name);
        found.ok_or_else(|| JournalError::BadSetting {
            name: "codec",
            reason: format!("`{name}` is unknown; choose none, lz4 or zstd"),
        })
    }

    /// The configured name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The number in a block header.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Lz4 => 1,
            Self::Zstd => 2,
        }
    }

    /// The codec of a number in a block header; `None` for one that this build does not know.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::Lz4),
            2 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Codecs that a writer with this one uses, as bits of a segment header.
    pub(crate) fn set(self) -> u8 {
        Self::None.bit() | self.bit()
    }

    pub(crate) fn bit(self) -> u8 {
        1 << self.code()
    }

    /// Every codec of this build, as bits of a segment header.
    pub(crate) const KNOWN: u8 = 0b111;
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Compresses blocks with one codec.
pub(crate) struct Compressor {
    context: Context,
    calls: u64,
}

enum Context {
    None,
    Lz4(Box<CompressTable>),
    Zstd(zstandard::Compressor<'static>),
}

impl Compressor {
    /// Compresses nothing.
    pub(crate) fn none() -> Self {
        let context = Context::None;
        Self { context, calls: 0 }
    }

    /// # Errors
    ///
    /// The codec's library has no memory.
    pub(crate) fn new(codec: Codec) -> io::Result<Self> {
        let context = match codec {
            Codec::None => Context::None,
            Codec::Lz4 => Context::Lz4(Box::new(CompressTable::large())),
            Codec::Zstd => Context::Zstd(zstandard::Compressor::new(ZSTD_LEVEL)?),
        };
        Ok(Self { context, calls: 0 })
    }

    /// The codec in use.
    pub(crate) fn codec(&self) -> Codec {
        match self.context {
            Context::None => Codec::None,
            Context::Lz4(_) => Codec::Lz4,
            Context::Zstd(_) => Codec::Zstd,
        }
    }

    /// How often the codec was called.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// Room that the output of `raw_len` bytes may need.
    pub(crate) fn bound(&self, raw_len: usize) -> usize {
        match self.context {
            Context::None => 0,
            Context::Lz4(_) => lz4::get_maximum_output_size(raw_len),
            Context::Zstd(_) => zstd::zstd_safe::compress_bound(raw_len),
        }
    }

    /// Compresses into the beginning of `out`, which has at least the [`bound`](Self::bound), and
    /// returns the length; `None` when it is to be stored as it is.
    pub(crate) fn compress(&mut self, raw: &[u8], out: &mut [u8]) -> Option<usize> {
        // A library that fails here has run out of memory: then the block is stored as it is.
        let len = match &mut self.context {
            Context::None => None,
            Context::Lz4(table) => {
                self.calls += 1;
                lz4::compress_into_with_table(raw, out, table).ok()
            }
            Context::Zstd(context) => {
                self.calls += 1;
                context.compress_to_buffer(raw, out).ok()
            }
        };
        len.filter(|len| is_worth(*len, raw.len()))
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("codec", &self.codec())
            .field("calls", &self.calls)
            .finish()
    }
}

/// Decompresses blocks of any codec; the context of zstd is made when the first one comes.
#[derive(Default)]
pub struct Decompressor {
    zstd: Option<zstandard::Decompressor<'static>>,
}

impl Decompressor {
    /// Replaces the content of `out` by the `raw_len` bytes that `stored` stands for.
    ///
    /// # Errors
    ///
    /// What is wrong, in words: `raw_len` above 1 MiB (nothing is allocated then), content that the
    /// codec refuses, or another length.
    pub fn decompress(
        &mut self,
        codec: Codec,
        stored: &[u8],
        raw_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        if raw_len > MAX_BLOCK_PAYLOAD {
            return Err(format!("raw length {raw_len} exceeds 1 MiB"));
        }
        out.resize(raw_len, 0);
        let refused = |cause: &dyn fmt::Display| format!("{codec} payload is refused: {cause}");
        let len = match codec {
            Codec::None if stored.len() == raw_len => {
                out.copy_from_slice(stored);
                raw_len
            }
            Codec::None => stored.len(),
            Codec::Lz4 => lz4::decompress_into(stored, out).map_err(|error| refused(&error))?,
            Codec::Zstd => self
                .zstd()
                .and_then(|context| context.decompress_to_buffer(stored, &mut out[..]))
                .map_err(|error| refused(&error))?,
        };
        if len == raw_len {
            Ok(())
        } else {
            Err(format!(
                "{codec} payload has {len} bytes, the header says {raw_len}"
            ))
        }
    }

    fn zstd(&mut self) -> io::Result<&mut zstandard::Decompressor<'static>> {
        match &mut self.zstd {
            Some(context) => Ok(context),
            absent => Ok(absent.insert(zstandard::Decompressor::new()?)),
        }
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

/// True when storing `len` bytes for `raw_len` saves at least a tenth.
fn is_worth(len: usize, raw_len: usize) -> bool {
    len * 10 <= raw_len * 9
}

const ZSTD_LEVEL: i32 = 1;
