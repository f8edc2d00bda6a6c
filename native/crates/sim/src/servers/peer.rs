//! One connection of a `len_seq_payload` server.

use tickdeck_wire::moldudp64::Blocks;
use tickdeck_wire::replay::{Frame, Refusal, Request, RequestDecoder};

use super::{BURST_BYTES, Draw, Feed, Next, another};
use crate::lies::{Lie, Order};
use crate::random::Random;

/// Most bytes of a frame's blocks.
const FRAME_BYTES: usize = 32 * 1024;
/// Requests that wait for their turn, bytes.
const INBOX_BYTES: usize = 4_096;
/// A connection on which nothing is asked for so long is closed.
const IDLE_NS: u64 = 60_000_000_000;

/// The server's side of one connection.
#[derive(Clone, Debug)]
pub struct PeerServer {
    decoder: RequestDecoder,
    inbox: Vec<u8>,
    answering: Option<Answering>,
    is_over: bool,
    last_heard_ns: u64,
}

#[derive(Clone, Debug)]
struct Answering {
    next: u64,
    /// The number behind the last one that is given.
    end: u64,
    lie: Option<Order>,
    not_before_ns: u64,
}

impl PeerServer {
    /// A connection that was just made.
    pub fn new(now_ns: u64) -> Self {
        Self {
            decoder: RequestDecoder::new(),
            inbox: Vec::new(),
            answering: None,
            is_over: false,
            last_heard_ns: now_ns,
        }
    }

    /// Takes what the client sent. One that asks and asks without reading is cut off.
    pub fn on_bytes(&mut self, bytes: &[u8], now_ns: u64) {
        self.last_heard_ns = now_ns;
        self.is_over |= self.inbox.len() + bytes.len() > INBOX_BYTES;
        if !self.is_over {
            self.inbox.extend_from_slice(bytes);
        }
    }

    /// Appends what is to be sent now; `draw` is asked once for each request.
    pub fn poll(&mut self, feed: Feed<'_>, draw: Draw<'_>, now_ns: u64, out: &mut Vec<u8>) -> Next {
        let limit = out.len() + BURST_BYTES;
        while !self.is_over && out.len() < limit {
            if let Some(answering) = &mut self.answering {
                if now_ns < answering.not_before_ns {
                    let until_ns = answering.not_before_ns;
                    return Next::Wait { until_ns };
                }
                match answering.push(feed, out) {
                    Some(true) => {}
                    Some(false) => self.answering = None,
                    None => self.is_over = true,
                }
                continue;
            }
            match self.next_request() {
                Ok(None) => {
                    let until_ns = self.last_heard_ns + IDLE_NS;
                    self.is_over = until_ns <= now_ns;
                    if !self.is_over {
                        return Next::Wait { until_ns };
                    }
                }
                Ok(Some(request)) => self.begin(request, feed, draw(), now_ns, out),
                Err(()) => {
                    refuse(1, Refusal::BadRequest, out);
                    self.is_over = true;
                }
            }
        }
        if self.is_over {
            Next::Close
        } else {
            Next::More
        }
    }

    fn next_request(&mut self) -> Result<Option<Request>, ()> {
        loop {
            match self.decoder.next() {
                Ok(None) if !self.inbox.is_empty() => {
                    let taken = self.decoder.push(&self.inbox);
                    self.inbox.drain(..taken);
                }
                Ok(request) => return Ok(request),
                Err(_) => return Err(()),
            }
        }
    }

    fn begin(
        &mut self,
        request: Request,
        feed: Feed<'_>,
        lie: Option<Order>,
        now_ns: u64,
        out: &mut Vec<u8>,
    ) {
        let first = request.first_sequence;
        let sent = feed.next_sequence.min(feed.history.next_sequence());
        if request.session != feed.session {
            return refuse(first, Refusal::WrongSession, out);
        }
        if first >= sent {
            return refuse(first, Refusal::NotHere, out);
        }
        let mut answering = Answering {
            next: first,
            end: request.end_sequence().min(sent),
            lie,
            not_before_ns: now_ns,
        };
        let mut said = request;
        match lie.map(|order| order.lie) {
            Some(Lie::Silent) => return,
            Some(Lie::Disconnected) => {
                self.is_over = true;
                return;
            }
            Some(Lie::Refused) => return refuse(first, Refusal::Busy, out),
            Some(Lie::WrongSession) => said.session = another(said.session),
            Some(Lie::NotAsked) => {
                said.first_sequence = request.end_sequence();
            }
            Some(Lie::Stale) => {
                answering.next = first.saturating_sub(u64::from(request.count)).max(1);
            }
            Some(Lie::Slow) => {
                let delay_ns = lie.map_or(0, |order| order.delay_ns);
                answering.not_before_ns = now_ns.saturating_add(delay_ns);
            }
            Some(Lie::Partial) => answering.end = first + (answering.end - first) / 2,
            Some(Lie::Garbage | Lie::Truncated | Lie::Oversize) | None => {}
        }
        Frame::Begin(said).encode(out);
        self.answering = Some(answering);
    }
}

impl Answering {
    /// Appends a frame; false with the end of the answer, `None` with that of the connection.
    fn push(&mut self, feed: Feed<'_>, out: &mut Vec<u8>) -> Option<bool> {
        let left = u16::try_from(self.end - self.next).unwrap_or(u16::MAX - 1);
        // The first message alone may be longer than the limit.
        let count = feed
            .history
            .fitting(self.next, left, FRAME_BYTES)
            .max(left.min(1));
        if count == 0 {
            let next_sequence = self.next;
            Frame::End { next_sequence }.encode(out);
            return Some(false);
        }
        let blocks = feed.history.blocks(self.next, count)?;
        let frame = |count, blocks: &[u8], out: &mut Vec<u8>| {
            let first_sequence = self.next;
            Frame::Messages {
                first_sequence,
                count,
                blocks,
            }
            .encode(out);
        };
        match self.lie {
            Some(Order {
                lie: Lie::Garbage,
                seed,
                ..
            }) => {
                let mut random = Random::new(seed);
                out.push(0xFF);
                out.extend((0..64).map(|_| random.next_u64() as u8));
                return None;
            }
            Some(Order {
                lie: Lie::Truncated,
                ..
            }) => {
                let start = out.len();
                frame(count, blocks, out);
                let length = out.len() - start;
                out.truncate(start + length / 2);
                return None;
            }
            Some(Order {
                lie: Lie::Oversize, ..
            }) if self.next + u64::from(count) == self.end => {
                let mut more = blocks.to_vec();
                let last = Blocks::new(blocks).last()?;
                more.extend_from_slice(&(last.len() as u16).to_be_bytes());
                more.extend_from_slice(last);
                frame(count + 1, &more, out);
            }
            _ => frame(count, blocks, out),
        }
        self.next += u64::from(count);
        Some(true)
    }
}

fn refuse(first_sequence: u64, reason: Refusal, out: &mut Vec<u8>) {
    Frame::Refused {
        first_sequence,
        reason,
    }
    .encode(out);
}
