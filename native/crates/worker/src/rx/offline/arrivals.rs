//! The datagrams of the lines, in order of their times.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;

use super::arguments::Pair;
use crate::capture::{CaptureError, Reader};

/// Destinations that are remembered for an error.
const REMEMBERED: usize = 4_096;

/// Destinations that an error names: those that got most.
const NAMED: usize = 24;

/// What a capture has of the channels. All of it is held in memory.
#[derive(Debug)]
pub(super) struct Arrivals {
    bytes: Vec<u8>,
    /// In order of time; what came at the same time in order of the file.
    arrivals: Vec<Arrival>,
}

/// A datagram of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    /// When it was captured, UTC ns.
    pub(super) at_ns: u64,
    /// Index of its channel.
    pub(super) channel: usize,
    /// 0: line A, 1: line B.
    pub(super) line: u8,
    begin: usize,
    end: usize,
}

impl Arrivals {
    /// Reads the datagrams that were sent to the lines.
    pub(super) fn read(path: &Path, pairs: &[Pair]) -> Result<Self, CaptureError> {
        let wanted = destinations(pairs);
        let mut found = Self {
            bytes: Vec::new(),
            arrivals: Vec::new(),
        };
        let mut others = BTreeMap::new();
        let mut reader = Reader::open(path)?;
        while let Some(frame) = reader.next_frame()? {
            let Ok(datagram) = frame.datagram else {
                continue;
            };
            match wanted.get(&datagram.destination) {
                Some((channel, line)) => {
                    found.push(frame.at_ns, *channel, *line, datagram.payload);
                }
                None if others.len() < REMEMBERED => {
                    *others.entry(datagram.destination).or_insert(0) += 1;
                }
                None => {}
            }
        }
        if found.arrivals.is_empty() {
            return Err(CaptureError::Nothing {
                path: path.to_owned(),
                problem: nothing(&others, reader.skips().total()),
            });
        }
        found.arrivals.sort_by_key(|arrival| arrival.at_ns);
        found.warn_of_silence(path, pairs);
        Ok(found)
    }

    /// One channel's datagrams: time, line, bytes.
    #[cfg(test)]
    pub(super) fn of_channel(datagrams: &[(u64, u8, Vec<u8>)]) -> Self {
        let mut found = Self {
            bytes: Vec::new(),
            arrivals: Vec::new(),
        };
        for (at_ns, line, payload) in datagrams {
            found.push(*at_ns, 0, *line, payload);
        }
        found.arrivals.sort_by_key(|arrival| arrival.at_ns);
        found
    }

    /// Datagrams of all channels.
    pub(super) fn len(&self) -> usize {
        self.arrivals.len()
    }

    /// The datagrams of all channels, in order of time.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arrival, &[u8])> {
        let bytes = |arrival: &Arrival| &self.bytes[arrival.begin..arrival.end];
        self.arrivals
            .iter()
            .map(move |arrival| (arrival, bytes(arrival)))
    }

    /// The datagrams of one channel.
    pub(super) fn of(&self, channel: usize) -> impl Iterator<Item = (&Arrival, &[u8])> {
        self.all()
            .filter(move |(arrival, _)| arrival.channel == channel)
    }

    fn push(&mut self, at_ns: u64, channel: usize, line: u8, payload: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.arrivals.push(Arrival {
            at_ns,
            channel,
            line,
            begin,
            end: self.bytes.len(),
        });
    }

    /// A line without any packet is more likely a wrong argument than a dead line.
    fn warn_of_silence(&self, path: &Path, pairs: &[Pair]) {
        let mut heard = vec![[false; 2]; pairs.len()];
        for arrival in &self.arrivals {
            heard[arrival.channel][usize::from(arrival.line)] = true;
        }
        for (pair, heard) in pairs.iter().zip(heard) {
            for (address, heard) in pair.lines.iter().zip(heard) {
                if !heard {
                    tracing::warn!(capture = %path.display(), %address, "no packet to this line");
                }
            }
        }
    }
}

fn destinations(pairs: &[Pair]) -> HashMap<SocketAddr, (usize, u8)> {
    let mut wanted = HashMap::new();
    for (channel, pair) in pairs.iter().enumerate() {
        for (line, address) in (0..).zip(pair.lines) {
            wanted.insert(address, (channel, line));
        }
    }
    wanted
}

/// Why there is nothing to merge, and what there is instead.
fn nothing(others: &BTreeMap<SocketAddr, u64>, skipped: u64) -> String {
    let mut others: Vec<_> = others.iter().collect();
    others.sort_by_key(|(address, count)| (std::cmp::Reverse(**count), **address));
    let more = others.len().saturating_sub(NAMED);
    others.truncate(NAMED);
    let named = |(address, count): &(&SocketAddr, &u64)| format!("{address} ({count})");
    let mut named: Vec<_> = others.iter().map(named).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    let others = match named.as_slice() {
        [] => "no UDP datagram at all".to_owned(),
        some => format!("datagrams to {}", some.join(", ")),
    };
    format!(
        "no packet was sent to the groups of --lines; there are {others}, and {skipped} frames \
         without a UDP datagram"
    )
}
