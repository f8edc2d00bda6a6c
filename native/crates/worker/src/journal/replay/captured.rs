//! Datagrams out of a capture: the UDP payloads as they are.

use std::path::Path;

use tickdeck_wire::moldudp64;

use super::{Packet, Source};
use crate::capture::Reader;
use crate::exit::Failure;

/// UDP payloads of a capture in order.
pub(super) struct CaptureSource {
    reader: Reader,
    payload: Vec<u8>,
    /// Number of the last frame that was read.
    frame: u64,
    from: u64,
    to: u64,
    skipped: u64,
}

impl CaptureSource {
    /// Opens a capture; frames outside `from..=to` are passed over.
    pub(super) fn open(path: &Path, from: u64, to: u64) -> Result<Self, Failure> {
        Ok(Self {
            reader: Reader::open(path)?,
            payload: Vec::new(),
            frame: 0,
            from,
            to,
            skipped: 0,
        })
    }
}

impl Source for CaptureSource {
    fn next(&mut self) -> Result<Option<Packet<'_>>, Failure> {
        while self.frame < self.to
            && let Some(frame) = self.reader.next_frame()?
        {
            self.frame = frame.number;
            if frame.number < self.from {
                continue;
            }
            let Ok(datagram) = frame.datagram else {
                self.skipped += 1;
                continue;
            };
            let at_ns = frame.at_ns;
            self.payload.clear();
            self.payload.extend_from_slice(datagram.payload);
            let packet = moldudp64::Packet::parse(&self.payload);
            let messages = packet.map_or(0, |packet| packet.count().into());
            return Ok(Some(Packet {
                payload: &self.payload,
                at_ns,
                messages,
                position: self.frame,
            }));
        }
        Ok(None)
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    /// A stream that may be compressed tells no length.
    fn span(&self) -> Option<(u64, u64)> {
        None
    }
}
