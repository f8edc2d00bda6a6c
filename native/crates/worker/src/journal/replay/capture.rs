//! Datagrams out of a capture file, pcap or pcapng, gzip or not; read in pieces.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use pcap_parser::pcapng::Block;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{PcapBlockOwned, PcapError, create_reader, traits::PcapReaderIterator};
use tickdeck_wire::moldudp64;

use super::frame::{self, Link};
use super::{Packet, Source};
use crate::exit::{Code, Failure};

/// UDP payloads of a capture in order.
pub(super) struct CaptureSource {
    path: PathBuf,
    reader: Box<dyn PcapReaderIterator + Send>,
    capacity: usize,
    /// Link layers and clocks: one for pcap, one per interface for pcapng.
    interfaces: Vec<Interface>,
    /// The block in the reader's buffer that is done with.
    done: usize,
    payload: Vec<u8>,
    at_ns: u64,
    /// Number of the current frame, from 1.
    frame: u64,
    from: u64,
    to: u64,
    skipped: u64,
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

/// What a block of the file was.
enum Read1 {
    /// A frame with a datagram.
    Datagram,
    /// Something else.
    Other,
    /// The end of the file.
    End,
}

impl CaptureSource {
    /// Opens a capture; frames outside `from..=to` are passed over.
    pub(super) fn open(path: &Path, from: u64, to: u64) -> Result<Self, Failure> {
        let unreadable = |error: io::Error| {
            let code = match error.kind() {
                io::ErrorKind::NotFound => Code::Config,
                _ => Code::Failed,
            };
            Failure::new(code, format!("capture {}: {error}", path.display()))
        };
        let input = plain(path).map_err(unreadable)?;
        let reader = create_reader(CAPACITY, input).map_err(|error| {
            let text = format!("capture {} is not pcap or pcapng: {error}", path.display());
            Failure::new(Code::Layout, text)
        })?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            capacity: CAPACITY,
            interfaces: Vec::new(),
            done: 0,
            payload: Vec::new(),
            at_ns: 0,
            frame: 0,
            from,
            to,
            skipped: 0,
        })
    }

    /// Reads the next block of the file.
    fn read(&mut self) -> Result<Read1, Failure> {
        self.reader.consume(std::mem::take(&mut self.done));
        loop {
            let failure = match self.reader.next() {
                Ok((length, block)) => {
                    self.done = length;
                    let mut frames = Frames {
                        interfaces: &mut self.interfaces,
                        payload: &mut self.payload,
                        at_ns: &mut self.at_ns,
                        frame: &mut self.frame,
                    };
                    let wanted = self.from..=self.to;
                    return Ok(match frames.take(&block) {
                        Taken::Datagram if wanted.contains(&self.frame) => Read1::Datagram,
                        Taken::Nothing if wanted.contains(&self.frame) => {
                            self.skipped += 1;
                            Read1::Other
                        }
                        _ => Read1::Other,
                    });
                }
                Err(PcapError::Eof) => return Ok(Read1::End),
                Err(PcapError::Incomplete(_)) => None,
                Err(PcapError::BufferTooSmall) if self.capacity < CAPACITY_MAX => {
                    self.capacity *= 2;
                    None
                }
                Err(PcapError::UnexpectedEof) => Some("the file ends inside a frame"),
                Err(PcapError::BufferTooSmall) => Some("a block is longer than 16 MiB"),
                Err(_) => Some("a malformed block"),
            };
            if let Some(what) = failure {
                let (path, frame) = (self.path.display(), self.frame);
                let text = format!("capture {path}: {what} behind frame {frame}");
                return Err(Failure::new(Code::Layout, text));
            }
            self.reader.grow(self.capacity);
            self.reader.refill().map_err(|error| {
                let text = format!("capture {}: {error}", self.path.display());
                Failure::failed(text)
            })?;
        }
    }
}

impl Source for CaptureSource {
    fn next(&mut self) -> Result<Option<Packet<'_>>, Failure> {
        while self.frame < self.to {
            match self.read()? {
                Read1::Other => {}
                Read1::End => return Ok(None),
                Read1::Datagram => {
                    let packet = moldudp64::Packet::parse(&self.payload);
                    return Ok(Some(Packet {
                        payload: &self.payload,
                        at_ns: self.at_ns,
                        messages: packet.map_or(0, |packet| packet.count().into()),
                        position: self.frame,
                    }));
                }
            }
        }
        Ok(None)
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// What became of a block.
enum Taken {
    /// A frame whose payload was taken.
    Datagram,
    /// A frame without a datagram.
    Nothing,
    /// No frame at all.
    NoFrame,
}

/// Takes blocks apart; borrows apart from the reader that lends the block.
struct Frames<'a> {
    interfaces: &'a mut Vec<Interface>,
    payload: &'a mut Vec<u8>,
    at_ns: &'a mut u64,
    frame: &'a mut u64,
}

impl Frames<'_> {
    fn take(&mut self, block: &PcapBlockOwned<'_>) -> Taken {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let nanoseconds = header.is_nanosecond_precision();
                let ticks_per_second = if nanoseconds {
                    1_000_000_000
                } else {
                    1_000_000
                };
                let link = Link::from_number(header.network.0);
                *self.interfaces = vec![Interface {
                    link,
                    clock: Clock {
                        ticks_per_second,
                        offset_s: 0,
                    },
                }];
                Taken::NoFrame
            }
            PcapBlockOwned::Legacy(frame) => {
                let clock = self.interfaces.first().map(|interface| interface.clock);
                let ticks = clock.map(|clock| {
                    u64::from(frame.ts_sec) * clock.ticks_per_second + u64::from(frame.ts_usec)
                });
                let data = frame
                    .data
                    .get(..frame.caplen as usize)
                    .unwrap_or(frame.data);
                self.frame(0, ticks, data, frame.caplen < frame.origlen)
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.interfaces.clear();
                Taken::NoFrame
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
                let link = Link::from_number(description.linktype.0);
                let ticks_per_second = ticks_per_second(description.if_tsresol);
                let clock = Clock {
                    ticks_per_second,
                    offset_s: description.if_tsoffset,
                };
                self.interfaces.push(Interface { link, clock });
                Taken::NoFrame
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(frame)) => {
                let ticks = u64::from(frame.ts_high) << 32 | u64::from(frame.ts_low);
                let cut = frame.caplen < frame.origlen;
                self.frame(frame.if_id, Some(ticks), frame.packet_data(), cut)
            }
            PcapBlockOwned::NG(Block::SimplePacket(frame)) => {
                self.frame(0, None, frame.packet_data(), frame.truncated())
            }
            PcapBlockOwned::NG(_) => Taken::NoFrame,
        }
    }

    /// A frame without a time keeps the time of the one before.
    fn frame(&mut self, interface: u32, ticks: Option<u64>, data: &[u8], cut: bool) -> Taken {
        *self.frame += 1;
        let Some(interface) = self.interfaces.get(interface as usize) else {
            return Taken::Nothing;
        };
        if let Some(ticks) = ticks {
            *self.at_ns = interface.clock.utc_ns(ticks);
        }
        match frame::datagram(interface.link, data) {
            Ok(datagram) if !cut => {
                self.payload.clear();
                self.payload.extend_from_slice(datagram.payload);
                Taken::Datagram
            }
            _ => Taken::Nothing,
        }
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

const CAPACITY: usize = 1 << 18;
const CAPACITY_MAX: usize = 1 << 24;
