//! The sender's thread: in the sending namespace, on its own core.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tickdeck_net::clock::{monotonic_ns, realtime_ns, thread_cpu_ns};
use tickdeck_net::{FrameSender, MulticastSender, NetError, find_interface};
use tickdeck_testbed::{FrameBuilder, TX_ADDRESS, TX_INTERFACE, Testbed};
use tickdeck_wire::moldudp64::{PacketBuilder, Session};

use super::contender::{GROUPS, PORTS};
use super::{Error, Options, SenderKind};

/// What the sender is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Both lines as fast as it goes, in batches.
    Full(Duration),
    /// Both lines, so many packets altogether, as fast as it goes.
    Burst(u64),
    /// Both lines in turn, one packet by each call, so many packets a second.
    Paced(u64, Duration),
    /// Line A alone, as paced, each packet with the time at which it was sent.
    Timed(u64, Duration),
}

/// What it did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// Packets on all lines.
    pub(crate) packets: u64,
    /// Sequence numbers: packets of one line.
    pub(crate) sequences: u64,
    /// The first sequence number.
    pub(crate) first_sequence: u64,
    /// From the first packet to the last.
    pub(crate) elapsed_ns: u64,
    /// Processor time of the sender's thread, the kernel's receive work on it included.
    pub(crate) cpu_ns: u64,
}

impl Sent {
    /// Packets a second.
    pub(crate) fn rate(&self) -> f64 {
        self.packets as f64 * 1e9 / self.elapsed_ns.max(1) as f64
    }

    /// What a packet cost the sender's thread.
    pub(crate) fn cpu_ns_per_packet(&self) -> f64 {
        self.cpu_ns as f64 / self.packets.max(1) as f64
    }

    /// Sum of the sequence numbers of all packets.
    pub(crate) fn sum(&self) -> u64 {
        let (first, count) = (u128::from(self.first_sequence), u128::from(self.sequences));
        let lines = u128::from(self.packets / self.sequences.max(1));
        (lines * (first * count + count * count.saturating_sub(1) / 2)) as u64
    }
}

/// Handle of the sender's thread; it ends when this is dropped.
pub(crate) struct Sender {
    orders: Option<mpsc::Sender<Message>>,
    reports: mpsc::Receiver<Result<Answer, NetError>>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Work(Order),
    CountDrops,
}

enum Answer {
    Sent(Sent),
    Drops(u64),
}

impl Sender {
    pub(crate) fn start(testbed: &Testbed, options: &Options) -> Result<Self, Error> {
        let (orders, messages) = mpsc::channel();
        let (answers, reports) = mpsc::channel();
        let (bytes, core) = (usize::from(options.payload_bytes), options.sender_cpu);
        let kind = options.sender;
        // A thread begins in its parent's namespace.
        let thread = testbed.in_tx(|| {
            thread::spawn(move || match Traffic::open(bytes, core, kind) {
                Ok(mut traffic) => traffic.serve(&messages, &answers),
                Err(error) => {
                    // If nobody listens, nobody waits either.
                    let _ = answers.send(Err(error));
                }
            })
        });
        Ok(Self {
            orders: Some(orders),
            reports,
            thread: Some(thread),
        })
    }

    /// Begins; [`Sender::finished`] or [`Sender::wait`] tell the end.
    pub(crate) fn begin(&self, order: Order) -> Result<(), Error> {
        self.tell(Message::Work(order))
    }

    /// What was done, when it is.
    pub(crate) fn finished(&self) -> Result<Option<Sent>, Error> {
        match self.reports.try_recv() {
            Ok(answer) => Self::sent(answer).map(Some),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => Err(Error::SenderGone),
        }
    }

    /// Sleeps until it is done.
    pub(crate) fn wait(&self) -> Result<Sent, Error> {
        Self::sent(self.reports.recv().map_err(|_| Error::SenderGone)?)
    }

    /// Packets that the wire itself has dropped so far: the veth pair's own queues.
    pub(crate) fn wire_drops(&self) -> Result<u64, Error> {
        self.tell(Message::CountDrops)?;
        match self.reports.recv().map_err(|_| Error::SenderGone)? {
            Ok(Answer::Drops(count)) => Ok(count),
            Ok(Answer::Sent(_)) => unreachable!("one question, one answer"),
            Err(source) => Err(Error::net("sender")(source)),
        }
    }

    fn tell(&self, message: Message) -> Result<(), Error> {
        let orders = self.orders.as_ref().expect("open until it is dropped");
        orders.send(message).map_err(|_| Error::SenderGone)
    }

    fn sent(answer: Result<Answer, NetError>) -> Result<Sent, Error> {
        match answer {
            Ok(Answer::Sent(sent)) => Ok(sent),
            Ok(Answer::Drops(_)) => unreachable!("one question, one answer"),
            Err(source) => Err(Error::net("sender")(source)),
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic has printed itself.
            let _ = thread.join();
        }
    }
}

/// The lines, and the number of the next message.
struct Traffic {
    lines: [Line; 2],
    next_sequence: u64,
}

/// A line and a batch of its packets, of which only the numbers change.
struct Line {
    outlet: Outlet,
    packets: Vec<Vec<u8>>,
    /// Where the payload begins in a packet.
    payload_at: usize,
}

enum Outlet {
    Udp(MulticastSender),
    Frames(FrameSender),
}

impl Line {
    fn open(
        kind: SenderKind,
        group: Ipv4Addr,
        port: u16,
        payload: &[u8],
    ) -> Result<Self, NetError> {
        let (outlet, packet) = match kind {
            SenderKind::Udp => {
                let interface = find_interface(TX_INTERFACE)?;
                let sender = MulticastSender::open(group.into(), port, &interface, 1)?;
                (Outlet::Udp(sender), payload.to_vec())
            }
            SenderKind::Frames => {
                let sender = FrameSender::open(TX_INTERFACE)?.bypass_qdisc()?;
                let from = (TX_ADDRESS, 40_000).into();
                // Without a checksum, so that the numbers can change.
                let builder = FrameBuilder::udp(from, (group, port).into()).without_checksum();
                (Outlet::Frames(sender), builder.build(payload))
            }
        };
        Ok(Self {
            outlet,
            payload_at: packet.len() - payload.len(),
            packets: vec![packet; BATCH],
        })
    }

    /// Sends the first packets of the batch with these numbers.
    fn send_batch(&mut self, first_sequence: u64, count: u64) -> Result<(), NetError> {
        let at = self.payload_at + SEQUENCE_AT;
        for (sequence, packet) in (first_sequence..first_sequence + count).zip(&mut self.packets) {
            put(packet, at, sequence);
        }
        let slices: [&[u8]; BATCH] = std::array::from_fn(|index| &self.packets[index][..]);
        let slices = &slices[..count as usize];
        match &mut self.outlet {
            Outlet::Udp(sender) => sender.send_batch(slices).map(|_| ()),
            Outlet::Frames(sender) => sender.send_batch(slices),
        }
    }

    /// Sends one packet with this number and the present time.
    fn send_now(&mut self, sequence: u64) -> Result<(), NetError> {
        let packet = &mut self.packets[0];
        put(packet, self.payload_at + SEQUENCE_AT, sequence);
        put(packet, self.payload_at + TIME_AT, realtime_ns());
        match &mut self.outlet {
            Outlet::Udp(sender) => sender.send(packet),
            Outlet::Frames(sender) => sender.send(packet),
        }
    }
}

impl Traffic {
    fn open(payload_bytes: usize, core: usize, kind: SenderKind) -> Result<Self, NetError> {
        tickdeck_net::pin_current_thread(core)?;
        let mut builder = PacketBuilder::new(Session(*b"BENCH00001"), payload_bytes);
        builder.begin(1);
        let is_pushed = builder.push(&vec![0; payload_bytes - TIME_AT]);
        assert!(is_pushed, "a message fits its packet");
        let payload = builder.finish();
        assert_eq!(payload.len(), payload_bytes, "one message fills the packet");
        let line = |index: usize| Line::open(kind, GROUPS[index], PORTS[index], payload);
        Ok(Self {
            lines: [line(0)?, line(1)?],
            next_sequence: 1,
        })
    }

    fn serve(
        &mut self,
        messages: &mpsc::Receiver<Message>,
        answers: &mpsc::Sender<Result<Answer, NetError>>,
    ) {
        for message in messages {
            let answer = match message {
                Message::Work(order) => self.work(order).map(Answer::Sent),
                Message::CountDrops => Ok(Answer::Drops(wire_drops())),
            };
            if answers.send(answer).is_err() {
                return;
            }
        }
    }

    fn work(&mut self, order: Order) -> Result<Sent, NetError> {
        let (first_sequence, start_cpu_ns) = (self.next_sequence, thread_cpu_ns());
        let start_ns = monotonic_ns();
        let end_of = |duration: Duration| start_ns + duration.as_nanos() as u64;
        let packets = match order {
            Order::Full(duration) => self.batches(end_of(duration), u64::MAX)?,
            Order::Burst(packets) => self.batches(u64::MAX, packets)?,
            Order::Paced(rate, duration) => {
                // Both lines carry each number.
                self.one_by_one(rate, end_of(duration), 2)?
            }
            Order::Timed(rate, duration) => self.one_by_one(rate, end_of(duration), 1)?,
        };
        Ok(Sent {
            packets,
            sequences: self.next_sequence - first_sequence,
            first_sequence,
            elapsed_ns: monotonic_ns() - start_ns,
            cpu_ns: thread_cpu_ns() - start_cpu_ns,
        })
    }

    /// A batch of A, the same of B, until the time or the number is reached.
    fn batches(&mut self, end_ns: u64, packets_max: u64) -> Result<u64, NetError> {
        let mut sent = 0;
        while sent < packets_max && monotonic_ns() < end_ns {
            let count = ((packets_max - sent) / 2).clamp(1, BATCH as u64);
            for line in &mut self.lines {
                line.send_batch(self.next_sequence, count)?;
            }
            self.next_sequence += count;
            sent += 2 * count;
        }
        Ok(sent)
    }

    /// One packet at each tick of the clock; a tick that was missed is not made up for.
    fn one_by_one(&mut self, rate: u64, end_ns: u64, lines: usize) -> Result<u64, NetError> {
        let interval_ns = 1_000_000_000 / rate.max(1);
        let (mut sent, mut due_ns) = (0, monotonic_ns());
        while due_ns < end_ns {
            for line in &mut self.lines[..lines] {
                while monotonic_ns() < due_ns {
                    std::hint::spin_loop();
                }
                line.send_now(self.next_sequence)?;
                sent += 1;
                due_ns = (due_ns + interval_ns).max(monotonic_ns());
            }
            self.next_sequence += 1;
        }
        Ok(sent)
    }
}

/// The sequence number of a packet.
#[inline]
pub(crate) fn sequence_of(payload: &[u8]) -> u64 {
    number(payload, SEQUENCE_AT)
}

/// When a packet was sent, UTC ns.
#[inline]
pub(crate) fn sent_ns_of(payload: &[u8]) -> u64 {
    number(payload, TIME_AT)
}

#[inline]
fn number(payload: &[u8], at: usize) -> u64 {
    payload[at..]
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn put(packet: &mut [u8], at: usize, value: u64) {
    packet[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

/// What the driver dropped on the way: a veth end counts as its own transmit drops what the other
/// end had no room for.
fn wire_drops() -> u64 {
    const TRANSMIT_DROPS: usize = 11;
    let text = fs::read_to_string("/proc/thread-self/net/dev").expect("/proc is mounted");
    let line = text.lines().find_map(|line| {
        let (name, numbers) = line.trim_start().split_once(':')?;
        (name == TX_INTERFACE).then_some(numbers)
    });
    line.and_then(|numbers| numbers.split_whitespace().nth(TRANSMIT_DROPS)?.parse().ok())
        .expect("/proc/net/dev has the sending interface and its drops")
}

/// Packets of one system call.
const BATCH: usize = 64;
/// MoldUDP64: session of 10 bytes, then the sequence number.
const SEQUENCE_AT: usize = 10;
/// The first message: behind the header of 20 bytes and the message's length.
const TIME_AT: usize = 22;

#[cfg(test)]
mod tests {
    use super::Sent;

    /// The sum over both lines of the numbers 5, 6 and 7.
    #[test]
    fn sum_of_the_sequence_numbers() {
        let sent = Sent {
            packets: 6,
            sequences: 3,
            first_sequence: 5,
            elapsed_ns: 2_000,
            cpu_ns: 1_200,
        };
        assert_eq!(sent.sum(), 36);
        assert!((sent.cpu_ns_per_packet() - 200.0).abs() < 1e-9);
        assert!((sent.rate() - 3_000_000.0).abs() < 1.0);
    }
}
