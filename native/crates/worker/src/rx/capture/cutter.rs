//! Copies a span of the capture's ring into a pcapng file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::mem;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tickdeck_ring::{Read, Reader, RecordHeader};
use tickdeck_wire::record::stamp;

use super::files::{Occasion, Shelf};
use super::plan::Span;
use super::{TRUNCATED, opened};
use crate::capture::{CapturedPacket, Interface, PcapngWriter};
use crate::spec;

/// Bytes handed to the kernel at a time.
const BUFFER_BYTES: usize = 1 << 18;

/// A file that was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) path: PathBuf,
    pub(super) packets: u64,
    /// Receive times of its first and last packet, UTC ns.
    pub(super) first_ns: u64,
    pub(super) last_ns: u64,
    /// Packets that may belong to the span and were overwritten before they were copied.
    pub(super) lapped: u64,
    /// Length of the file.
    pub(super) bytes: u64,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(super) enum CutError {
    /// Nothing was received in the span, or it is gone.
    #[error("no packet of that time is in the capture's ring; {0}")]
    Empty(Held),
    /// The file cannot be written.
    #[error("write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// What the ring holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    packets: u64,
    first_ns: u64,
    last_ns: u64,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.packets {
            0 => f.write_str("it is empty"),
            packets => write!(
                f,
                "it holds {packets} packets, received {} to {} (UTC nanoseconds)",
                self.first_ns, self.last_ns
            ),
        }
    }
}

/// Reads the ring at its own pace; belongs to one thread.
pub(super) struct Cutter {
    ring: Reader,
    shelf: Shelf,
    /// Where line A and line B are sent to, and what they are called.
    lines: Vec<(SocketAddr, Interface)>,
    buffer: Vec<u8>,
}

impl Cutter {
    pub(super) fn new(exchange: &spec::Exchange, ring: Reader) -> Self {
        let settings = &exchange.capture;
        let mut lines: Vec<&spec::Line> = exchange.lines.iter().collect();
        lines.sort_by_key(|line| line.name.index());
        let describe = |line: &spec::Line| {
            let interface = Interface {
                name: line.name.label().to_owned(),
                description: format!("{}:{} on {}", line.group, line.port, line.interface),
            };
            (SocketAddr::new(line.group, line.port), interface)
        };
        Self {
            buffer: vec![0; ring.slot_bytes()],
            ring,
            shelf: Shelf::new(
                settings.data_dir.clone(),
                exchange.name.clone(),
                settings.max_files,
            ),
            lines: lines.into_iter().map(describe).collect(),
        }
    }

    /// Cuts a file with every packet of the ring that was received in the span, in order of
    /// arrival. The file gets its name when it is whole; then the oldest of too many are removed.
    pub(super) fn cut(
        &mut self,
        span: Span,
        occasion: Occasion,
        comment: &str,
        now_ns: u64,
    ) -> Result<Cut, CutError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CutError::Io { path, source }
        };
        let (partial, path) = self
            .shelf
            .paths(occasion, now_ns)
            .map_err(failed(self.shelf.dir()))?;
        let written = self.write(span, &partial, comment);
        let cut = written
            .map_err(failed(&partial))
            .and_then(|(tally, bytes)| {
                if tally.packets == 0 {
                    return Err(CutError::Empty(tally.held));
                }
                fs::rename(&partial, &path).map_err(failed(&path))?;
                Ok(Cut {
                    path,
                    packets: tally.packets,
                    first_ns: tally.first_ns,
                    last_ns: tally.last_ns,
                    lapped: tally.lapped,
                    bytes,
                })
            });
        // Also takes away what was not finished.
        let tidied = self.shelf.tidy().map_err(failed(self.shelf.dir()));
        cut.and_then(|cut| tidied.map(|()| cut))
    }

    /// Writes the file; returns what is in it and how long it is.
    fn write(&mut self, span: Span, path: &Path, comment: &str) -> io::Result<(Tally, u64)> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o640);
        let file = BufWriter::with_capacity(BUFFER_BYTES, options.open(path)?);
        let interfaces: Vec<Interface> = self.lines.iter().map(|(_, line)| line.clone()).collect();
        let mut writer = PcapngWriter::new(file, &interfaces, comment)?;
        let tally = self.copy(span, &mut writer)?;
        let file: File = writer
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok((tally, file.metadata()?.len()))
    }

    /// Copies what is in the ring now; what comes meanwhile is left out.
    fn copy(
        &mut self,
        span: Span,
        writer: &mut PcapngWriter<BufWriter<File>>,
    ) -> io::Result<Tally> {
        let mut tally = Tally::default();
        let end = self.ring.next_seq();
        let mut seq = self.ring.oldest_seq();
        while seq < end {
            match self.ring.read(seq, &mut self.buffer) {
                Read::NotYet => break,
                Read::Lapped { oldest_seq } => {
                    let next = oldest_seq.max(seq + 1).min(end);
                    tally.overtaken += next - seq;
                    seq = next;
                }
                Read::Record { header, len } => {
                    tally.seen(header.rx_ns, span);
                    if span.contains(header.rx_ns) {
                        let destination = self.lines[usize::from(header.line)].0;
                        writer.packet(&packet(&header, destination, &self.buffer[..len]))?;
                    }
                    seq += 1;
                }
            }
        }
        tally.lapped += mem::take(&mut tally.overtaken);
        Ok(tally)
    }
}

/// What a cut has come by.
#[derive(Default)]
struct Tally {
    packets: u64,
    first_ns: u64,
    last_ns: u64,
    lapped: u64,
    /// Records that were overwritten before the next one was read.
    overtaken: u64,
    held: Held,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            packets: 0,
            first_ns: u64::MAX,
            last_ns: 0,
        }
    }
}

impl Tally {
    /// A record was read.
    fn seen(&mut self, rx_ns: u64, span: Span) {
        // What was overwritten is older than this one. Is this one too old for the span, so was
        // that.
        let overtaken = mem::take(&mut self.overtaken);
        if rx_ns >= span.from_ns {
            self.lapped += overtaken;
        }
        let held = &mut self.held;
        held.packets += 1;
        held.first_ns = held.first_ns.min(rx_ns);
        held.last_ns = held.last_ns.max(rx_ns);
        if span.contains(rx_ns) {
            if self.packets == 0 {
                (self.first_ns, self.last_ns) = (rx_ns, rx_ns);
            }
            self.packets += 1;
            // The lines are taken in batches, so times go up and down a little.
            self.first_ns = self.first_ns.min(rx_ns);
            self.last_ns = self.last_ns.max(rx_ns);
        }
    }
}

fn packet<'a>(
    header: &RecordHeader,
    destination: SocketAddr,
    payload: &'a [u8],
) -> CapturedPacket<'a> {
    let is_truncated = header.kind & TRUNCATED != 0;
    let (source, payload) = opened(header, payload);
    let comment = match (is_truncated, header.stamp) {
        (true, _) => Some("longer than max_packet_bytes; how long is not known"),
        (false, stamp::USER) => Some("time taken by the worker, not by the kernel"),
        _ => None,
    };
    CapturedPacket {
        interface: header.line.into(),
        at_ns: header.rx_ns,
        source,
        destination,
        payload,
        is_truncated,
        comment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was overwritten before it was read is a loss of the cut, unless the next packet that
    /// was read is older than the span: then so was that.
    #[test]
    fn only_what_may_belong_to_the_span_is_lapped() {
        let span = Span {
            from_ns: 100,
            to_ns: 200,
        };
        let mut tally = Tally {
            overtaken: 5,
            ..Tally::default()
        };
        tally.seen(99, span);
        assert_eq!((tally.lapped, tally.packets), (0, 0));
        tally.overtaken = 7;
        tally.seen(100, span);
        assert_eq!((tally.lapped, tally.packets), (7, 1));
        tally.seen(150, span);
        tally.seen(120, span);
        tally.seen(201, span);
        assert_eq!((tally.lapped, tally.packets), (7, 3));
        assert_eq!((tally.first_ns, tally.last_ns), (100, 150));
        let held = tally.held;
        assert_eq!((held.packets, held.first_ns, held.last_ns), (5, 99, 201));
    }
}
