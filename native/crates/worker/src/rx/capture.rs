//! The rolling capture: what came on the lines, kept in a second ring, cut into pcapng files around
//! gaps and on demand.
//!
//! | Part | Where | Does |
//! |---|---|---|
//! | [`Tap`] | receive thread | copies each datagram into the ring; tells of gaps; never waits |
//! | [`cutter`] | capture thread | copies a span of the ring into a file |
//! | [`plan`] | capture thread | which gaps get a cut, and when |
//! | [`thread`] | capture thread | sleeps, cuts what is due and what is ordered |
//! | [`files`] | capture thread | names of the files, how many are kept |
//! | [`order`] | control thread | the op `capture.cut` |
//!
//! The ring is `capture.ring` of the runtime directory, one slot per datagram, payload as it came.
//! The fields of a record, see [`tickdeck_ring::RecordHeader`], carry:
//!
//! | Field | Content |
//! |---|---|
//! | `kind` | a sum of [`TRUNCATED`]: longer than `max_packet_bytes`, and [`IPV6`] |
//! | `line`, `stamp`, `rx_ns` | line, source of the receive time, receive time |
//! | `channel` | the sender's port |
//! | `count` | the sender's IPv4 address; 0 with [`IPV6`] |
//! | `venue_seq` | 0 |
//!
//! So the payload goes into the ring by one copy, without a prefix put before it first. An IPv6
//! address has no room there: it is put before the payload, which takes a second copy.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};

use rtrb::{Consumer, Producer, RingBuffer};
use tickdeck_arbiter::Gap;
use tickdeck_net::Datagram;
use tickdeck_ring::{RecordHeader, RingConfig, Writer, slots_within};

use super::gap_rows::utc_of;
use super::merge::stamp_code;
use super::metrics::CaptureMetrics;
use crate::exit::{Code, Failure, chain};
use crate::spec::{self, Spec};

mod cutter;
mod files;
pub(super) mod order;
mod plan;
mod thread;

use cutter::Cutter;
use order::CutOrder;
use plan::{GapNotice, Plan};
pub(super) use thread::CaptureThread;

/// The ring's name in the runtime directory.
const RING: &str = "capture.ring";
/// Added to the kind of a record whose payload is the beginning of a longer datagram.
const TRUNCATED: u8 = 1;
/// Added to the kind of a record whose payload begins with the sender's IPv6 address.
const IPV6: u8 = 2;
/// Bytes of an IPv6 address.
const IPV6_BYTES: usize = 16;
/// Gaps that wait for the capture thread to take notice.
const GAPS: usize = 1024;
/// Orders that wait for the capture thread.
const ORDERS: usize = 4;

/// The receive thread's end.
pub(super) struct Tap {
    ring: Writer,
    packets: u64,
    /// Where an IPv6 address and its datagram are put together.
    scratch: Box<[u8]>,
    gaps: Producer<GapNotice>,
    /// Gaps that found the queue full.
    unnoticed: Arc<AtomicU64>,
}

/// What the threads' ends are made of.
pub(super) struct Ends {
    orders: mpsc::Receiver<CutOrder>,
    gaps_in: Producer<GapNotice>,
    gaps_out: Consumer<GapNotice>,
}

/// Makes the queues, when the capture is enabled: the control thread's end and the others'.
pub(super) fn link(settings: &spec::Capture) -> Option<(SyncSender<CutOrder>, Ends)> {
    if !settings.enabled {
        return None;
    }
    let (orders_in, orders) = mpsc::sync_channel(ORDERS);
    let (gaps_in, gaps_out) = RingBuffer::new(GAPS);
    let ends = Ends {
        orders,
        gaps_in,
        gaps_out,
    };
    Some((orders_in, ends))
}

/// Makes the ring and both ends; without `ends` a ring of an incarnation before is removed, since
/// it takes memory.
pub(super) fn open(
    spec: &Spec,
    ends: Option<Ends>,
    metrics: CaptureMetrics,
) -> Result<(Option<Tap>, Option<CaptureThread>), Failure> {
    let path = spec.runtime_dir.join(RING);
    let Some(ends) = ends else {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = path.display();
                Err(Failure::failed(format!(
                    "remove the unused ring {path}: {error}"
                )))
            }
            _ => Ok((None, None)),
        };
    };
    let failed = |error: tickdeck_ring::RingError| Failure::failed(chain(&error));
    let ring = Writer::create(&path, &ring_config(spec)?).map_err(failed)?;
    let reader = tickdeck_ring::Reader::open(&path).map_err(failed)?;
    let unnoticed = Arc::new(AtomicU64::new(0));
    let tap = Tap {
        scratch: vec![0; ring.slot_bytes()].into_boxed_slice(),
        ring,
        packets: 0,
        gaps: ends.gaps_in,
        unnoticed: Arc::clone(&unnoticed),
    };
    let settings = &spec.exchange.capture;
    let thread = CaptureThread {
        cutter: Cutter::new(&spec.exchange, reader),
        plan: Plan::new(settings),
        gaps: ends.gaps_out,
        orders: ends.orders,
        unnoticed,
        metrics,
    };
    Ok((Some(tap), Some(thread)))
}

fn ring_config(spec: &Spec) -> Result<RingConfig, Failure> {
    let (settings, longest) = (
        &spec.exchange.capture,
        spec.exchange.receive.max_packet_bytes,
    );
    let slot_bytes = u32::try_from((longest + IPV6_BYTES).next_multiple_of(8))
        .map_err(|_| Failure::new(Code::Config, "receive.max_packet_bytes is beyond 32 bits"))?;
    let slot_count = slots_within(settings.ring_bytes, slot_bytes).ok_or_else(|| {
        let text = format!(
            "capture.ring_bytes {} holds not one packet of {longest} bytes; raise it, or lower \
             receive.max_packet_bytes",
            settings.ring_bytes
        );
        Failure::new(Code::Config, text)
    })?;
    tracing::info!(slot_count, slot_bytes, "capturing");
    Ok(RingConfig {
        slot_count,
        slot_bytes,
        start_seq: 1,
        log_id: [0; 16],
        incarnation: spec.incarnation_bytes()?,
    })
}

impl Tap {
    /// Keeps a datagram.
    #[inline]
    pub(super) fn record(&mut self, datagram: &Datagram<'_>) {
        let header = header_of(datagram);
        let payload = match datagram.source.ip() {
            IpAddr::V4(_) => datagram.payload,
            IpAddr::V6(address) => {
                let length = IPV6_BYTES + datagram.payload.len();
                self.scratch[..IPV6_BYTES].copy_from_slice(&address.octets());
                self.scratch[IPV6_BYTES..length].copy_from_slice(datagram.payload);
                &self.scratch[..length]
            }
        };
        let published = self.ring.publish(&header, payload);
        debug_assert!(published.is_ok(), "a slot holds max_packet_bytes");
        self.packets += u64::from(published.is_ok());
    }

    /// Neither line brought these messages in time.
    #[cold]
    pub(super) fn gap(&mut self, gap: &Gap) {
        let notice = GapNotice {
            id: gap.id,
            first: gap.first,
            last: gap.last,
            opened_ns: gap.opened_ns,
            seen_ns: utc_of(gap.opened_ns),
        };
        if self.gaps.push(notice).is_err() {
            self.unnoticed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Datagrams kept so far.
    pub(super) fn packets(&self) -> u64 {
        self.packets
    }
}

/// What goes beside the payload; see the table above.
#[inline]
fn header_of(datagram: &Datagram<'_>) -> RecordHeader {
    let (family, address) = match datagram.source.ip() {
        IpAddr::V4(address) => (0, address.to_bits()),
        IpAddr::V6(_) => (IPV6, 0),
    };
    RecordHeader {
        kind: family | if datagram.truncated { TRUNCATED } else { 0 },
        line: datagram.line,
        stamp: stamp_code(datagram.stamp),
        channel: datagram.source.port(),
        count: address,
        venue_seq: 0,
        rx_ns: datagram.rx_ns,
    }
}

/// The sender of a record and its datagram.
fn opened<'a>(header: &RecordHeader, payload: &'a [u8]) -> (SocketAddr, &'a [u8]) {
    match payload.split_first_chunk::<IPV6_BYTES>() {
        Some((address, payload)) if header.kind & IPV6 != 0 => {
            let address = Ipv6Addr::from(*address);
            (SocketAddr::new(address.into(), header.channel), payload)
        }
        _ => {
            let address = Ipv4Addr::from_bits(header.count);
            (SocketAddr::new(address.into(), header.channel), payload)
        }
    }
}

#[cfg(test)]
mod tests;
