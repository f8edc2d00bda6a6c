//! Where the messages come from and go to: ITCH files, captures and the generated day.
//!
//! The messages of a capture are numbered anew from 1. A file whose stock fields are too wide is mended before it is played, and the log says so.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::net::SocketAddr;
use std::path::Path;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tickdeck_sim::day::{self, DayConfig, DayReport};
use tickdeck_sim::{History, HistoryBuilder, SimError};
use tickdeck_wire::binaryfile;

use super::args::{GenerateArgs, PlayArgs};
use crate::capture;
use crate::exit::{Code, Failure};

/// First bytes of a gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Why a destination cannot be chosen.
const NO_DESTINATIONS: &str =
    "--destination chooses from a capture; this file is no pcap or pcapng";
/// Bytes of a message of a generated day, with its length field; a bit more than the mean.
const BYTES_PER_MESSAGE: usize = 34;

/// The session to play.
pub(super) fn load(args: &PlayArgs) -> Result<History, Failure> {
    let history = match &args.source.input {
        Some(path) => read(path, args.destination)?,
        None => generated(args)?,
    };
    if history.messages() == 0 {
        return Err(Failure::new(
            Code::Config,
            "the input has no messages; nothing to play",
        ));
    }
    Ok(history)
}

/// Writes the generated day; the file appears under its name only when it is whole.
pub(super) fn generate(args: &GenerateArgs) -> Result<DayReport, Failure> {
    let path = &args.out;
    let fail = |error: WriteError| match error {
        WriteError::Sim(error) => Failure::new(Code::Config, error.to_string()),
        WriteError::Io(error) => Failure::failed(format!("write {}: {error}", path.display())),
    };
    let mut partial = path.clone().into_os_string();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let report = write_day(args, partial).map_err(fail)?;
    fs::rename(partial, path).map_err(|error| fail(error.into()))?;
    Ok(report)
}

/// The table as JSON.
pub(super) fn report_json(report: &DayReport) -> String {
    let types: Vec<Value> = report
        .types
        .iter()
        .map(|row| json!({"type": char::from(row.kind), "count": row.count, "share": row.share}))
        .collect();
    let busiest: Vec<Value> = report
        .busiest
        .iter()
        .map(|(instruments, share)| json!({"instruments": instruments, "share": share}))
        .collect();
    let table = json!({
        "messages": report.messages, "bytes": report.bytes, "live_orders": report.live_orders,
        "live_orders_most": report.live_orders_most, "price_levels": report.price_levels,
        "adds": report.adds, "highest_reference": report.highest_reference,
        "mean_reference_step": report.mean_reference_step(), "types": types, "busiest": busiest,
    });
    table.to_string()
}

/// The table for a person.
pub(super) fn report_text(report: &DayReport) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a string does not fail.
        writeln!(text, "{name:<28}{value:>14}").expect("a string takes any text");
    };
    row("messages", report.messages.to_string());
    row("bytes", report.bytes.to_string());
    row("live orders at the end", report.live_orders.to_string());
    row("live orders at most", report.live_orders_most.to_string());
    row("price levels at the end", report.price_levels.to_string());
    row("adds (A + F + U)", report.adds.to_string());
    row(
        "highest order reference",
        report.highest_reference.to_string(),
    );
    row(
        "mean reference step",
        format!("{:.3}", report.mean_reference_step()),
    );
    for kind in &report.types {
        let share = format!("{} {:>8.3} %", kind.count, kind.share * 100.0);
        row(&format!("type {}", char::from(kind.kind)), share);
    }
    for (instruments, share) in &report.busiest {
        row(
            &format!("busiest {instruments}"),
            format!("{:.1} %", share * 100.0),
        );
    }
    text.truncate(text.trim_end().len());
    text
}

fn read(path: &Path, destination: Option<SocketAddr>) -> Result<History, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Code::Config, format!("input {}: {error}", path.display()))
    };
    let bytes = if capture::is_capture(path).map_err(|error| failed(&error))? {
        let found = capture::read_messages(path, destination)?;
        found.log(path);
        found.blocks
    } else if destination.is_some() {
        return Err(failed(&NO_DESTINATIONS));
    } else {
        unpacked(path).map_err(|error| failed(&error))?
    };
    let conformed = binaryfile::conform(&bytes).map_err(|error| failed(&error))?;
    let bytes = match (conformed.bytes, conformed.narrowed) {
        (Cow::Owned(mended), narrowed) => {
            let path = path.display();
            tracing::warn!(%path, narrowed, "stock fields wider than 8 bytes were cut to 8");
            mended
        }
        (Cow::Borrowed(_), _) => bytes,
    };
    History::from_binary_file(bytes).map_err(|error| failed(&error))
}

/// The bytes of a file, unpacked when it is gzip.
fn unpacked(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    if !bytes.starts_with(&GZIP_MAGIC) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

fn generated(args: &PlayArgs) -> Result<History, Failure> {
    let (messages, instruments, seed) = (args.messages, args.instruments, args.seed);
    let capacity = usize::try_from(messages)
        .unwrap_or(0)
        .saturating_mul(BYTES_PER_MESSAGE);
    let mut builder = HistoryBuilder::with_capacity(capacity);
    day::generate(
        DayConfig {
            messages,
            instruments,
            seed,
        },
        |message| builder.push(message),
    )
    .map_err(|error| Failure::new(Code::Config, error.to_string()))?;
    Ok(builder.finish())
}

enum WriteError {
    Sim(SimError),
    Io(io::Error),
}

impl From<SimError> for WriteError {
    fn from(error: SimError) -> Self {
        Self::Sim(error)
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn write_day(args: &GenerateArgs, path: &Path) -> Result<DayReport, WriteError> {
    let GenerateArgs {
        messages,
        instruments,
        seed,
        ..
    } = *args;
    let config = DayConfig {
        messages,
        instruments,
        seed,
    };
    let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    if args
        .out
        .extension()
        .is_some_and(|extension| extension == "gz")
    {
        let mut packed = GzEncoder::new(file, Compression::fast());
        let report = write_messages(config, &mut packed)?;
        finish(packed.finish()?)?;
        Ok(report)
    } else {
        let mut file = file;
        let report = write_messages(config, &mut file)?;
        finish(file)?;
        Ok(report)
    }
}

fn write_messages(config: DayConfig, out: &mut impl Write) -> Result<DayReport, WriteError> {
    let mut framed = Vec::new();
    day::generate(config, |message| {
        framed.clear();
        binaryfile::push(&mut framed, message).map_err(SimError::TooLong)?;
        Ok(out.write_all(&framed)?)
    })
}

fn finish(file: BufWriter<File>) -> io::Result<()> {
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}
