//! A directory with the blocks of a log, as frames of the export protocol: DATA and GAP, each with its
//! own checksum, so that the copy says by itself what is in it and what is not.
//!
//! Files are called `from-SEQ.frames`, with the first sequence in twenty digits; a new one begins
//! behind 64 MiB. The position file says what of them counts: what lies above it is cut off when the
//! directory is opened, since it will be sent again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use tickdeck_export::frame::{Decoder, HEADER_LEN, MAX_PAYLOAD};
use tickdeck_export::message::{Data, Gap, Message};

use super::position::sync_directory;
use crate::exit::{Code, Failure};

/// A file is closed behind so many bytes.
const FILE_BYTES: u64 = 64 << 20;

/// The copy, open at its end.
#[derive(Debug)]
pub(super) struct Copy {
    dir: PathBuf,
    /// The last file and its length.
    file: Option<(File, u64)>,
    /// Frames that are not written yet.
    pending: Vec<u8>,
    /// First sequence of what is pending when a file has to be begun.
    next_seq: u64,
    /// The last write failed: what is in the file is not known.
    is_broken: bool,
}

impl Copy {
    /// Opens the directory and cuts it behind `acked_seq`.
    pub(super) fn open(dir: &Path, acked_seq: u64) -> Result<Self, Failure> {
        let open = || -> io::Result<Self> {
            fs::create_dir_all(dir)?;
            let mut copy = Self {
                dir: dir.to_owned(),
                file: None,
                pending: Vec::new(),
                next_seq: acked_seq + 1,
                is_broken: false,
            };
            copy.cut(acked_seq + 1)?;
            Ok(copy)
        };
        open().map_err(|error| failure(dir, &error))
    }

    /// Takes a block.
    pub(super) fn push_block(&mut self, from_seq: u64, block: &[u8], base_seq: u64) {
        self.next_seq = if self.pending.is_empty() {
            from_seq
        } else {
            self.next_seq
        };
        Message::Data(Data { base_seq, block }).push(&mut self.pending);
    }

    /// Takes a declaration.
    pub(super) fn push_gap(&mut self, gap: Gap) {
        self.next_seq = if self.pending.is_empty() {
            gap.from
        } else {
            self.next_seq
        };
        Message::Gap(gap).push(&mut self.pending);
    }

    /// Writes and syncs everything taken so far.
    pub(super) fn sync(&mut self) -> Result<(), Failure> {
        if self.is_broken {
            // A failed sync is never tried again on the same file.
            return Err(failure(&self.dir, &"an earlier write failed; start again"));
        }
        let result = self.append();
        self.is_broken = result.is_err();
        result.map_err(|error| failure(&self.dir, &error))
    }

    /// Removes everything from `seq` on.
    pub(super) fn cut_from(&mut self, seq: u64) -> Result<(), Failure> {
        self.pending.clear();
        self.next_seq = seq;
        self.cut(seq).map_err(|error| failure(&self.dir, &error))
    }

    fn append(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let is_full = |file: &(File, u64)| file.1 >= FILE_BYTES;
        if self.file.as_ref().is_none_or(is_full) {
            let path = self.dir.join(format!("from-{:020}.frames", self.next_seq));
            let file = OpenOptions::new()
                .append(true)
                .create_new(true)
                .open(&path)?;
            sync_directory(&path)?;
            self.file = Some((file, 0));
        }
        let (file, length) = self.file.as_mut().expect("it was just opened");
        file.write_all(&self.pending)?;
        file.sync_data()?;
        *length += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    fn cut(&mut self, seq: u64) -> io::Result<()> {
        self.file = None;
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if let Some(first) = first_seq(&path) {
                files.push((first, path));
            }
        }
        files.sort();
        while files.last().is_some_and(|(first, _)| *first >= seq) {
            let (_, path) = files.pop().expect("it was looked at");
            fs::remove_file(&path)?;
            sync_directory(&path)?;
        }
        if let Some((_, path)) = files.last() {
            let file = OpenOptions::new().read(true).append(true).open(path)?;
            let length = good_length(&file, seq)?;
            file.set_len(length)?;
            file.sync_all()?;
            self.file = Some((file, length));
        }
        Ok(())
    }
}

fn first_seq(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("from-")?
        .strip_suffix(".frames")?
        .parse()
        .ok()
}

/// Length of the whole frames that begin below `seq`. A frame that is torn, or damaged, was not synced
/// before its position: nothing behind it counts.
fn good_length(file: &File, seq: u64) -> io::Result<u64> {
    let mut decoder = Decoder::new(MAX_PAYLOAD);
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut length, mut chunk) = (0, vec![0; 1 << 20]);
    loop {
        match decoder.next() {
            Ok(Some(frame)) if frame.seq < seq => {
                length += (HEADER_LEN + frame.payload.len()) as u64;
            }
            Ok(None) => match reader.read(&mut chunk)? {
                0 => return Ok(length),
                read => decoder.feed(&chunk[..read]),
            },
            Ok(Some(_)) | Err(_) => return Ok(length),
        }
    }
}

fn failure(dir: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::Failed, format!("copy in {}: {error}", dir.display()))
}
