//! A file of ITCH 5.0 messages, held in memory or read while the clock runs.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tickdeck_wire::binaryfile::{self, Messages};

use crate::Error;

/// Why nothing is measured with the file in the clock.
pub(crate) const NOT_AS_ON_DISK: &str = "no rows with the file in the clock: the file is \
                                         compressed or has wide stock fields, so the bytes on disk \
                                         are others than those that are measured";

/// The messages of a BinaryFILE.
pub(crate) struct Day {
    path: PathBuf,
    /// Messages with their length fields.
    pub(crate) bytes: Vec<u8>,
    pub(crate) messages: u64,
    /// The file itself is these bytes: neither compressed nor with wide stock fields.
    is_as_on_disk: bool,
}

impl Day {
    /// Reads the file, plain or gzip.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
        let bytes = read(path, is_gzip).map_err(|source| Error::Input {
            path: path.to_owned(),
            source,
        })?;
        let conformed = binaryfile::conform(&bytes)?;
        let is_as_on_disk = !is_gzip && conformed.narrowed == 0;
        let bytes = match conformed.narrowed {
            0 => bytes,
            _ => conformed.bytes.into_owned(),
        };
        let messages = walk(&bytes).0;
        Ok(Self {
            path: path.to_owned(),
            bytes,
            messages,
            is_as_on_disk,
        })
    }

    /// The file, to be read while the clock runs; `None` when the bytes on disk are others.
    pub(crate) fn on_disk(&self) -> Option<&Path> {
        self.is_as_on_disk.then_some(&self.path)
    }
}

/// Reads a file to its end, so many bytes with each call, and hands on what there is. `take` gives
/// back how many bytes it took: whole messages; the rest comes again with what follows it.
///
/// # Panics
/// The file cannot be read: it was read a moment ago.
pub(crate) fn read_in_blocks(
    path: &Path,
    block_bytes: usize,
    mut take: impl FnMut(&[u8]) -> usize,
) {
    const LONGEST_REST: usize = 2 + u16::MAX as usize;
    let mut file = File::open(path).expect("the input was read before");
    let mut buffer = vec![0; LONGEST_REST + block_bytes];
    let mut held = 0;
    loop {
        let read = file.read(&mut buffer[held..held + block_bytes]);
        let read = read.expect("the input was read before");
        if read == 0 {
            return;
        }
        let end = held + read;
        let taken = take(&buffer[..end]);
        buffer.copy_within(taken..end, 0);
        held = end - taken;
    }
}

/// The least that reading a file of messages can be: going from length to length. Messages, and the
/// bytes that are whole messages.
pub(crate) fn walk(bytes: &[u8]) -> (u64, usize) {
    let mut messages = Messages::new(bytes);
    let mut count = 0;
    for message in messages.by_ref().map_while(Result::ok) {
        std::hint::black_box(message);
        count += 1;
    }
    (count, messages.offset())
}

fn read(path: &Path, is_gzip: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?;
    if is_gzip {
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes)?;
    } else {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks smaller and larger than a message give every message once.
    #[test]
    fn blocks_give_every_message() {
        let mut bytes = Vec::new();
        for length in 0..300_usize {
            binaryfile::push(&mut bytes, &vec![7; length]).unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("day.itch");
        std::fs::write(&path, &bytes).unwrap();
        let day = Day::read(&path).unwrap();
        assert_eq!(day.messages, 300);
        for block_bytes in [1, 100, 8_192, 1 << 20] {
            let mut count = 0;
            read_in_blocks(day.on_disk().unwrap(), block_bytes, |piece| {
                let (messages, taken) = walk(piece);
                count += messages;
                taken
            });
            assert_eq!(count, 300, "blocks of {block_bytes} bytes");
        }
    }
}
