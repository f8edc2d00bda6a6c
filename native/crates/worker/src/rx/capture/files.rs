//! The files of a capture directory: their names, and how many are kept.
//!
//! `EXCHANGE-cut-TIME.pcapng` and `EXCHANGE-gap-ID-TIME.pcapng`, TIME as in
//! `20260131T235959.123456789Z`. A file under construction ends in `.partial`. Only files of this
//! form and of this exchange are ever removed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const NS_PER_S: u64 = 1_000_000_000;
const S_PER_DAY: u64 = 86_400;
const SUFFIX: &str = ".pcapng";
const PARTIAL: &str = ".pcapng.partial";

/// Why a file is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Somebody ordered it.
    Order,
    /// A gap with this id.
    Gap(u64),
}

/// The files of one exchange.
pub(super) struct Shelf {
    dir: PathBuf,
    exchange: String,
    max_files: usize,
}

impl Shelf {
    pub(super) fn new(dir: PathBuf, exchange: String, max_files: usize) -> Self {
        Self {
            dir,
            exchange,
            max_files,
        }
    }

    /// Where the files are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory, and the path of a file cut at `now_ns` (UTC): while it is written, and
    /// when it is whole.
    pub(super) fn paths(&self, occasion: Occasion, now_ns: u64) -> io::Result<(PathBuf, PathBuf)> {
        fs::create_dir_all(&self.dir)?;
        let kind = match occasion {
            Occasion::Order => "cut".to_owned(),
            Occasion::Gap(id) => format!("gap-{id}"),
        };
        let stem = format!("{}-{kind}-{}", self.exchange, utc_text(now_ns));
        let path = |suffix| self.dir.join(format!("{stem}{suffix}"));
        Ok((path(PARTIAL), path(SUFFIX)))
    }

    /// Removes the oldest files beyond the limit, and what an end in the middle of a cut has left.
    /// No file of this exchange may be under construction.
    pub(super) fn tidy(&self) -> io::Result<()> {
        let mut whole: Vec<(String, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if self.time_of(&path, PARTIAL).is_some() {
                fs::remove_file(&path)?;
            } else if let Some(time) = self.time_of(&path, SUFFIX) {
                whole.push((time, path));
            }
        }
        whole.sort();
        let surplus = whole.len().saturating_sub(self.max_files);
        for (_, path) in &whole[..surplus] {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// The time in the name of a file of ours; times sort as text.
    fn time_of(&self, path: &Path, suffix: &str) -> Option<String> {
        let name = path.file_name().and_then(OsStr::to_str)?;
        let rest = name.strip_prefix(&self.exchange)?.strip_prefix('-')?;
        let (kind, time) = rest.strip_suffix(suffix)?.rsplit_once('-')?;
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let is_ours = kind == "cut" || kind.strip_prefix("gap-").is_some_and(is_id);
        (is_ours && is_time(time)).then(|| time.to_owned())
    }
}

/// A time in UTC as `20260131T235959.123456789Z`.
fn utc_text(utc_ns: u64) -> String {
    let seconds = utc_ns / NS_PER_S;
    let (year, month, day) = date(seconds / S_PER_DAY);
    let second = seconds % S_PER_DAY;
    format!(
        "{year:04}{month:02}{day:02}T{:02}{:02}{:02}.{:09}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        utc_ns % NS_PER_S
    )
}

/// Year, month and day of a number of days since 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// Whether a text has the form of [`utc_text`].
fn is_time(text: &str) -> bool {
    text.len() == 26
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'.',
            25 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times come out as the calendar has them, leap days and ends of years included.
    #[test]
    fn times_are_written_in_utc() {
        for (seconds, wanted) in [
            (0, "19700101T000000.000000007Z"),
            (951_782_399, "20000228T235959.000000007Z"),
            (951_782_400, "20000229T000000.000000007Z"),
            (1_709_251_200, "20240301T000000.000000007Z"),
            (1_798_761_599, "20261231T235959.000000007Z"),
            (4_107_542_400, "21000301T000000.000000007Z"),
        ] {
            let text = utc_text(seconds * NS_PER_S + 7);
            assert_eq!(text, wanted);
            assert!(is_time(&text));
        }
        assert!(is_time(&utc_text(u64::MAX)));
    }

    /// The oldest files go first, whatever their kind; leftovers go; nothing else is touched.
    #[test]
    fn only_own_files_are_removed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let shelf = Shelf::new(dir.path().join("new"), "X-1".to_owned(), 2);
        for (occasion, second) in [
            (Occasion::Order, 3),
            (Occasion::Gap(9), 1),
            (Occasion::Gap(1), 4),
            (Occasion::Order, 2),
        ] {
            let (partial, path) = shelf
                .paths(occasion, second * NS_PER_S)
                .expect("a directory");
            fs::write(path, b"").expect("writes");
            fs::write(partial, b"").expect("writes");
        }
        let others = [
            "X-cut-19700101T000000.000000000Z.pcapng",
            "X-1-gap--19700101T000000.000000000Z.pcapng",
            "X-1-cut-19700101.pcapng",
            "X-1-cut-19700101T000000.000000000Z.pcapng.bak",
            "mine.pcapng",
        ];
        for name in others {
            fs::write(shelf.dir.join(name), b"").expect("writes");
        }
        shelf.tidy().expect("tidies");
        let mut left: Vec<String> = fs::read_dir(&shelf.dir)
            .expect("lists")
            .map(|entry| {
                entry
                    .expect("lists")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
        left.sort();
        let mut wanted = others.map(str::to_owned).to_vec();
        wanted.push("X-1-cut-19700101T000003.000000000Z.pcapng".to_owned());
        wanted.push("X-1-gap-1-19700101T000004.000000000Z.pcapng".to_owned());
        wanted.sort();
        assert_eq!(left, wanted);
    }
}
