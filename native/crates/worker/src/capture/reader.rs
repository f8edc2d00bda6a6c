//! Datagrams out of a capture file, pcap or pcapng, gzip or not; read in pieces.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use pcap_parser::pcapng::Block;
use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{PcapBlockOwned, PcapError, create_reader};

use super::frame::{self, Datagram, Link, Skip};
use crate::exit::{Code, Failure};

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened or read.
    #[error("capture {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is no capture.
    #[error("capture {} is not pcap or pcapng: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// The file is a capture up to a place.
    #[error("capture {}: {problem} behind frame {frame}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: &'static str,
        /// The last whole frame, from 1; 0 when there is none.
        frame: u64,
    },
    /// The capture holds nothing that was asked for.
    #[error("capture {}: {problem}", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// What was looked for, what is there, and what to do.
        problem: String,
    },
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        let code = match &error {
            CaptureError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Code::Config
            }
            CaptureError::Io { .. } => Code::Failed,
            CaptureError::Format { .. } | CaptureError::Malformed { .. } => Code::Layout,
            CaptureError::Nothing { .. } => Code::Config,
        };
        Self::new(code, error.to_string())
    }
}

/// One frame of a capture.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Its number in the file, from 1.
    pub number: u64,
    /// When it was captured, UTC nanoseconds. A frame without a time has that of the one before.
    pub at_ns: u64,
    /// The UDP datagram in it, or why there is none.
    pub datagram: Result<Datagram<'a>, Skip>,
}

/// Frames without a datagram, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skips {
    /// The link layer is not understood, or its interface was never described.
    pub unknown_link: u64,
    /// Not IP, or not UDP.
    pub not_udp: u64,
    /// A fragment of a datagram.
    pub fragment: u64,
    /// Cut by the capture, or lengths that contradict one another.
    pub truncated: u64,
}

impl Skips {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.unknown_link + self.not_udp + self.fragment + self.truncated
    }

    fn count(&mut self, skip: Skip) {
        *match skip {
            Skip::UnknownLink => &mut self.unknown_link,
            Skip::NotUdp => &mut self.not_udp,
            Skip::Fragment => &mut self.fragment,
            Skip::Truncated => &mut self.truncated,
        } += 1;
    }
}

/// The frames of a capture in order.
pub struct Reader {
    path: PathBuf,
    blocks: Box<dyn PcapReaderIterator + Send>,
    capacity: usize,
    /// The block in the buffer that is done with.
    done: usize,
    current: Current,
    skips: Skips,
}

/// What the blocks of the file so far have said; apart from the parser, which lends the blocks.
#[derive(Default)]
struct Current {
    /// Link layers and clocks: one for pcap, one per interface for pcapng.
    interfaces: Vec<Interface>,
    at_ns: u64,
    /// Number of the frame.
    number: u64,
    /// The frame without what stands around it.
    link: Option<Link>,
    /// Bytes of the frame were cut off by the capture.
    is_cut: bool,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interface {
    link: Link,
    clock: Clock,
}

/// How an interface counts time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    ticks_per_second: u64,
    offset_s: i64,
}

impl Reader {
    /// Opens a capture.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`] or [`CaptureError::Format`].
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let input = plain(path).map_err(|source| io_error(path, source))?;
        let blocks = create_reader(CAPACITY, input).map_err(|error| CaptureError::Format {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            blocks,
            capacity: CAPACITY,
            done: 0,
            current: Current::default(),
            skips: Skips::default(),
        })
    }

    /// The next frame, `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`], or [`CaptureError::Malformed`] where the file is no capture any more.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        if !self.read_frame()? {
            return Ok(None);
        }
        let current = &self.current;
        let datagram = current.datagram();
        if let Err(skip) = datagram {
            self.skips.count(skip);
        }
        Ok(Some(Frame {
            number: current.number,
            at_ns: current.at_ns,
            datagram,
        }))
    }

    /// Frames so far that hold no datagram.
    pub fn skips(&self) -> Skips {
        self.skips
    }

    /// Reads blocks up to the next frame; false at the end of the file.
    fn read_frame(&mut self) -> Result<bool, CaptureError> {
        loop {
            self.blocks.consume(std::mem::take(&mut self.done));
            let problem = match self.blocks.next() {
                Ok((length, block)) => {
                    self.done = length;
                    if self.current.take(&block) {
                        return Ok(true);
                    }
                    continue;
                }
                Err(PcapError::Eof) => return Ok(false),
                Err(PcapError::Incomplete(_)) => None,
                Err(PcapError::BufferTooSmall) if self.capacity < CAPACITY_MAX => {
                    self.capacity *= 2;
                    None
                }
                Err(PcapError::UnexpectedEof) => Some("the file ends inside a frame"),
                Err(PcapError::BufferTooSmall) => Some("a block is longer than 16 MiB"),
                Err(_) => Some("a malformed block"),
            };
            if let Some(problem) = problem {
                return Err(CaptureError::Malformed {
                    path: self.path.clone(),
                    problem,
                    frame: self.current.number,
                });
            }
            self.blocks.grow(self.capacity);
            self.blocks
                .refill()
                .map_err(|error| io_error(&self.path, io::Error::other(error.to_string())))?;
        }
    }
}

impl Current {
    fn datagram(&self) -> Result<Datagram<'_>, Skip> {
        let datagram = frame::datagram(self.link.ok_or(Skip::UnknownLink)?, &self.bytes)?;
        if self.is_cut {
            return Err(Skip::Truncated);
        }
        Ok(datagram)
    }

    /// Takes a block apart; true when it was a frame.
    fn take(&mut self, block: &PcapBlockOwned<'_>) -> bool {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let nanoseconds = header.is_nanosecond_precision();
                let ticks_per_second = if nanoseconds {
                    1_000_000_000
                } else {
                    1_000_000
                };
                let link = Link::from_number(header.network.0);
                let clock = Clock {
                    ticks_per_second,
                    offset_s: 0,
                };
                self.interfaces = vec![Interface { link, clock }];
                false
            }
            PcapBlockOwned::Legacy(frame) => {
                let clock = self.interfaces.first().map(|interface| interface.clock);
                let ticks = clock.map(|clock| {
                    u64::from(frame.ts_sec) * clock.ticks_per_second + u64::from(frame.ts_usec)
                });
                let length = frame.data.len().min(frame.caplen as usize);
                self.frame(
                    0,
                    ticks,
                    &frame.data[..length],
                    frame.caplen < frame.origlen,
                )
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.interfaces.clear();
                false
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
                self.interfaces.push(Interface {
                    link: Link::from_number(description.linktype.0),
                    clock: Clock {
                        ticks_per_second: ticks_per_second(description.if_tsresol),
                        offset_s: description.if_tsoffset,
                    },
                });
                false
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(frame)) => {
                let ticks = u64::from(frame.ts_high) << 32 | u64::from(frame.ts_low);
                let is_cut = frame.caplen < frame.origlen;
                self.frame(frame.if_id, Some(ticks), frame.packet_data(), is_cut)
            }
            PcapBlockOwned::NG(Block::SimplePacket(frame)) => {
                self.frame(0, None, frame.packet_data(), frame.truncated())
            }
            PcapBlockOwned::NG(_) => false,
        }
    }

    fn frame(&mut self, interface: u32, ticks: Option<u64>, bytes: &[u8], is_cut: bool) -> bool {
        self.number += 1;
        let interface = self.interfaces.get(interface as usize);
        self.link = interface.map(|interface| interface.link);
        if let (Some(interface), Some(ticks)) = (interface, ticks) {
            self.at_ns = interface.clock.utc_ns(ticks);
        }
        self.is_cut = is_cut;
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        true
    }
}

impl Clock {
    fn utc_ns(&self, ticks: u64) -> u64 {
        let ns = i128::from(ticks) * 1_000_000_000 / i128::from(self.ticks_per_second)
            + i128::from(self.offset_s) * 1_000_000_000;
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }
}

/// Resolution of an interface: a power of 10, or of 2 when the top bit is set. What no clock has
/// counts as nanoseconds.
fn ticks_per_second(if_tsresol: u8) -> u64 {
    let exponent = u32::from(if_tsresol & 0x7F);
    let base = if if_tsresol & 0x80 == 0 { 10_u64 } else { 2 };
    base.checked_pow(exponent).unwrap_or(1_000_000_000)
}

/// Whether the file, unpacked when it is gzip, begins as a capture does. No other input of ours
/// begins so: as the length of a first message these bytes would be 2,573 or more than 19,000.
/// A pipe is never one, since its first bytes could not be read again.
///
/// # Errors
///
/// The file cannot be opened or read.
pub fn is_capture(path: &Path) -> io::Result<bool> {
    if !fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut magic = Vec::with_capacity(4);
    plain(path)?.take(4).read_to_end(&mut magic)?;
    Ok(MAGICS.iter().any(|known| magic == known))
}

/// The file, unpacked when it is gzip.
fn plain(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let mut file = File::open(path)?;
    let mut magic = Vec::with_capacity(2);
    file.by_ref().take(2).read_to_end(&mut magic)?;
    file.rewind()?;
    if magic == [0x1F, 0x8B] {
        return Ok(Box::new(MultiGzDecoder::new(BufReader::new(file))));
    }
    Ok(Box::new(file))
}

fn io_error(path: &Path, source: io::Error) -> CaptureError {
    CaptureError::Io {
        path: path.to_owned(),
        source,
    }
}

/// First bytes of pcap (both byte orders, microseconds and nanoseconds) and of pcapng.
const MAGICS: [[u8; 4]; 5] = [
    [0xA1, 0xB2, 0xC3, 0xD4],
    [0xD4, 0xC3, 0xB2, 0xA1],
    [0xA1, 0xB2, 0x3C, 0x4D],
    [0x4D, 0x3C, 0xB2, 0xA1],
    [0x0A, 0x0D, 0x0D, 0x0A],
];
const CAPACITY: usize = 1 << 18;
const CAPACITY_MAX: usize = 1 << 24;
