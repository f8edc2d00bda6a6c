//! A subscriber's copy of a journal, as `subscribe --into` keeps it: frames of the export protocol, DATA
//! with a block as the journal stored it and GAP with what did not come, in files `from-SEQ.frames`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tickdeck_export::frame::{Decoder, HEADER_LEN, MAX_PAYLOAD};
use tickdeck_export::message::{Data, Gap, Message};
use tickdeck_export::subscriber::BlockHead;
use tickdeck_journal::{Codec, Decompressor, Entry, unpack};

use super::cat::{CatArgs, line_of};
use super::progress::ProgressLine;
use super::{Audience, Output, VerifyArgs, answer};
use crate::exit::{Code, Failure};

/// Whether a directory holds a copy and no journal.
pub(super) fn is_copy(dir: &Path) -> bool {
    let has = |end: &str| {
        let mut names = fs::read_dir(dir).into_iter().flatten().flatten();
        names.any(|entry| entry.path().extension() == Some(OsStr::new(end)))
    };
    has("frames") && !has("seg")
}

/// Checks every frame, block and record, and that no sequence is missing between two of them; the code
/// is clean only for a whole copy.
pub(super) fn verify(args: &VerifyArgs) -> Result<Code, Failure> {
    let mut display = ProgressLine::new(args.progress);
    let (mut records, mut gaps, mut missing) = (0, 0, 0);
    let mut show = |done, total| display.show(done, total, "bytes");
    let found = walk(&args.dir, &mut show, &mut |item| {
        match item {
            Item::Record(_) => records += 1,
            Item::Gap(gap) => {
                gaps += 1;
                missing += gap.to - gap.from + 1;
            }
        }
        Ok(Audience::Listening)
    });
    display.clear()?;
    let found = found?;
    let faults: Vec<Value> = found.faults.iter().map(Fault::to_json).collect();
    let (first_seq, last_seq) = (found.first_seq, found.next_seq - 1);
    let value = json!({
        "copy": true,
        "files": found.files,
        "records": records,
        "first_seq": first_seq,
        "last_seq": last_seq,
        "gaps": gaps,
        "gap_sequences": missing,
        "problems": faults,
    });
    let mut text = String::new();
    for fault in &found.faults {
        writeln!(text, "{}", fault.to_text()).expect("a string takes all");
    }
    let verdict = match found.faults.len() {
        0 => "whole".to_owned(),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    write!(
        text,
        "{verdict}: a copy of {} files, {records} records, sequences {first_seq} to {last_seq}, \
         {gaps} declared gaps of {missing} sequences",
        found.files
    )
    .expect("a string takes all");
    answer(args.json, &value, &text)?;
    Ok(match found.faults.is_empty() {
        true => Code::Clean,
        false => Code::Failed,
    })
}

/// Prints records and gaps; damage ends with an error after what could be read.
pub(super) fn cat(args: &CatArgs) -> Result<Code, Failure> {
    let mut output = Output {
        out: BufWriter::new(io::stdout().lock()),
    };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let from = args.from.unwrap_or(0);
    let found = walk(&args.dir, &mut |_, _| {}, &mut |item| {
        let (first, last) = item.span();
        if left == 0 || args.to.is_some_and(|to| first > to) {
            return Ok(Audience::Gone);
        }
        if last < from {
            return Ok(Audience::Listening);
        }
        left -= 1;
        output.line(&item.line(args))
    });
    // What was read before an error is printed all the same.
    output.finish()?;
    match found?.faults.first() {
        Some(fault) => Err(Failure::new(Code::Layout, fault.to_text())),
        None => Ok(Code::Clean),
    }
}

/// Shows records until nobody wants more.
fn show_all<'a>(
    entries: impl Iterator<Item = &'a Entry<'a>>,
    visit: &mut dyn FnMut(Item<'_>) -> Result<Audience, Failure>,
) -> Result<Audience, Failure> {
    for entry in entries {
        if visit(Item::Record(entry))? == Audience::Gone {
            return Ok(Audience::Gone);
        }
    }
    Ok(Audience::Listening)
}

/// What a copy holds, in order.
enum Item<'a> {
    Record(&'a Entry<'a>),
    Gap(Gap),
}

impl Item<'_> {
    fn span(&self) -> (u64, u64) {
        match self {
            Self::Record(entry) => (entry.seq, entry.seq),
            Self::Gap(gap) => (gap.from, gap.to),
        }
    }

    fn line(&self, args: &CatArgs) -> String {
        match self {
            Self::Record(entry) => line_of(entry, args.payload, args.json),
            Self::Gap(gap) => {
                let (from, to, reason) = (gap.from, gap.to, gap.reason.name());
                match args.json {
                    true => json!({"gap": {"from": from, "to": to, "reason": reason}}).to_string(),
                    false => format!("gap from={from} to={to} reason={reason}"),
                }
            }
        }
    }
}

/// A place where a copy is not what its subscriber wrote.
struct Fault {
    file: String,
    offset: u64,
    class: &'static str,
    /// The sequences that are missing for it; the last one where it is known.
    from: u64,
    to: Option<u64>,
    detail: String,
}

impl Fault {
    fn to_json(&self) -> Value {
        json!({
            "file": self.file,
            "offset": self.offset,
            "class": self.class,
            "from": self.from,
            "to": self.to,
            "detail": self.detail,
        })
    }

    fn to_text(&self) -> String {
        let Self {
            file,
            offset,
            class,
            from,
            detail,
            ..
        } = self;
        match self.to {
            Some(to) => format!("{file}+{offset}: {class}, sequences {from} to {to}: {detail}"),
            None => format!("{file}+{offset}: {class}, from sequence {from}: {detail}"),
        }
    }
}

/// What a walk found.
struct Found {
    files: usize,
    first_seq: u64,
    next_seq: u64,
    faults: Vec<Fault>,
}

/// Reads a copy to its end, or until nobody wants more.
fn walk(
    dir: &Path,
    show: &mut dyn FnMut(u64, u64),
    visit: &mut dyn FnMut(Item<'_>) -> Result<Audience, Failure>,
) -> Result<Found, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", dir.display()));
    let files = files(dir).map_err(failed)?;
    let total = files.iter().map(|file| file.2).sum();
    let first_seq = files.first().map_or(1, |file| file.0);
    let mut walker = Walker {
        place: (String::new(), 0),
        next_seq: first_seq,
        faults: Vec::new(),
        decompressor: Decompressor::default(),
        raw: Vec::new(),
    };
    let mut done = 0;
    for (at, (seq, path, len)) in files.iter().enumerate() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        walker.place = (name.into_owned(), 0);
        walker.expect(*seq);
        let is_last = at + 1 == files.len();
        let mut shown = |position| show(done + position, total);
        let file = File::open(path).map_err(failed)?;
        if walker.file(file, is_last, &mut shown, visit)? == Audience::Gone {
            break;
        }
        done += len;
    }
    Ok(Found {
        files: files.len(),
        first_seq,
        next_seq: walker.next_seq,
        faults: walker.faults,
    })
}

/// First sequence by name, path and length of every file, in order.
fn files(dir: &Path) -> io::Result<Vec<(u64, PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let digits = name
            .strip_prefix("from-")
            .and_then(|it| it.strip_suffix(".frames"));
        if let Some(Ok(seq)) = digits.map(str::parse) {
            files.push((seq, entry.path(), entry.metadata()?.len()));
        }
    }
    files.sort();
    Ok(files)
}

struct Walker {
    /// File and offset that are looked at.
    place: (String, u64),
    next_seq: u64,
    faults: Vec<Fault>,
    decompressor: Decompressor,
    raw: Vec<u8>,
}

impl Walker {
    fn file(
        &mut self,
        mut file: File,
        is_last: bool,
        show: &mut dyn FnMut(u64),
        visit: &mut dyn FnMut(Item<'_>) -> Result<Audience, Failure>,
    ) -> Result<Audience, Failure> {
        let mut decoder = Decoder::new(MAX_PAYLOAD);
        let mut chunk = vec![0; CHUNK];
        loop {
            let frame = match decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => {
                    let read = file
                        .read(&mut chunk)
                        .map_err(|error| Failure::failed(format!("{}: {error}", self.place.0)))?;
                    if read == 0 {
                        break;
                    }
                    decoder.feed(&chunk[..read]);
                    show(self.place.1);
                    continue;
                }
                Err(error) => {
                    // Where the next frame would begin is not known.
                    self.fault("bad_frame", None, error.to_string());
                    return Ok(Audience::Listening);
                }
            };
            let len = (HEADER_LEN + frame.payload.len()) as u64;
            let audience = match Message::parse(&frame) {
                Ok(Message::Data(data)) => self.data(&data, visit)?,
                Ok(Message::Gap(gap)) => {
                    self.expect(gap.from);
                    self.next_seq = self.next_seq.max(gap.to.saturating_add(1));
                    visit(Item::Gap(gap))?
                }
                Ok(other) => {
                    self.fault("bad_frame", None, format!("{other:?} is no part of a copy"));
                    Audience::Listening
                }
                Err(error) => {
                    self.fault("bad_frame", None, error.to_string());
                    Audience::Listening
                }
            };
            if audience == Audience::Gone {
                return Ok(audience);
            }
            self.place.1 += len;
        }
        if decoder.pending() > 0 {
            let (class, detail) = match is_last {
                true => (
                    "torn_tail",
                    "the frame is not whole; the subscriber cuts it and takes it again",
                ),
                false => (
                    "bad_frame",
                    "the frame is not whole, and another file follows",
                ),
            };
            self.fault(class, None, detail.into());
        }
        Ok(Audience::Listening)
    }

    fn data(
        &mut self,
        data: &Data<'_>,
        visit: &mut dyn FnMut(Item<'_>) -> Result<Audience, Failure>,
    ) -> Result<Audience, Failure> {
        let head = match self.unpacked(data) {
            Ok(head) => head,
            Err(detail) => {
                self.fault("bad_block", None, detail);
                return Ok(Audience::Listening);
            }
        };
        self.expect(head.base_seq);
        let raw = std::mem::take(&mut self.raw);
        let result = match unpack(head.base_seq, head.count, &raw) {
            Ok((entries, next_seq)) => {
                let begin = std::mem::replace(&mut self.next_seq, next_seq);
                let new = entries.iter().filter(|entry| entry.seq >= begin);
                show_all(new, visit)
            }
            Err(detail) => {
                self.fault("bad_records", None, detail);
                Ok(Audience::Listening)
            }
        };
        self.raw = raw;
        result
    }

    /// Checks a block and unpacks its payload.
    fn unpacked(&mut self, data: &Data<'_>) -> Result<BlockHead, String> {
        let head = BlockHead::parse(data.block).map_err(|error| error.to_string())?;
        if head.base_seq != data.base_seq {
            return Err(format!(
                "a block of {} in a frame of {}",
                head.base_seq, data.base_seq
            ));
        }
        let codec = Codec::from_code(head.codec)
            .ok_or_else(|| format!("codec {} is not known", head.codec))?;
        let stored = &data.block[BLOCK_HEADER_LEN..];
        self.decompressor
            .decompress(codec, stored, head.raw_len as usize, &mut self.raw)?;
        Ok(head)
    }

    /// What comes now begins with this sequence, or before it where a block reaches back.
    fn expect(&mut self, seq: u64) {
        if seq > self.next_seq {
            let to = Some(seq - 1);
            self.fault("missing", to, "nothing tells why they did not come".into());
            self.next_seq = seq;
        }
    }

    fn fault(&mut self, class: &'static str, to: Option<u64>, detail: String) {
        let (file, offset) = self.place.clone();
        self.faults.push(Fault {
            file,
            offset,
            class,
            from: self.next_seq,
            to,
            detail,
        });
    }
}

const BLOCK_HEADER_LEN: usize = 72;
const CHUNK: usize = 1 << 20;
