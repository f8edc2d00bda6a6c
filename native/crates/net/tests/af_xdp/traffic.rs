//! A mix of frames for two lines as a bad day brings it, and the tally of what arrived.
//!
//! Line A and B in turns. Each payload begins with the line's number and its sequence on the line,
//! so what arrives can be told apart and put in order.

use std::net::SocketAddr;

use tickdeck_net::{Datagram, FrameSender, LineConfig, Stamp, find_interface};
use tickdeck_testbed::{FrameBuilder, Malformation, RX_INTERFACE, TX_ADDRESS, TX_INTERFACE};

/// The two lines of the mix, on the receiving end; call inside its namespace.
pub(crate) fn lines() -> [LineConfig; 2] {
    let interface = find_interface(RX_INTERFACE).unwrap();
    [(0, "239.77.1.1:31001"), (1, "239.77.1.2:31002")].map(|(line, destination)| {
        let destination: SocketAddr = destination.parse().unwrap();
        LineConfig {
            line,
            group: destination.ip(),
            port: destination.port(),
            interface: interface.clone(),
            source: None,
        }
    })
}

/// How often what comes in between, counted in packets of the lines; 0: never.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mix {
    /// Packets of the lines.
    pub(crate) packets: u64,
    /// Every so many packets carry an 802.1Q tag.
    pub(crate) tagged_every: u64,
    /// Every so many packets are sent in fragments.
    pub(crate) fragmented_every: u64,
    /// After every so many packets comes a frame that belongs to no line.
    pub(crate) foreign_every: u64,
}

/// Payload of a whole packet; a fragmented one is longer.
const PAYLOAD_BYTES: usize = 64;
const FRAGMENTED_BYTES: usize = 2_000;
const BURST: u64 = 64;

impl Mix {
    pub(crate) fn is_tagged(&self, number: u64) -> bool {
        self.tagged_every > 0 && number.is_multiple_of(self.tagged_every)
    }

    pub(crate) fn is_fragmented(&self, number: u64) -> bool {
        self.fragmented_every > 0 && number % self.fragmented_every == 1
    }

    /// How many packets are in fragments.
    pub(crate) fn fragmented(&self) -> u64 {
        (0..self.packets)
            .filter(|number| self.is_fragmented(*number))
            .count() as u64
    }

    /// Sends all of it; call inside the sending namespace. `pause` is called after each burst with
    /// the number of packets sent so far.
    pub(crate) fn send(&self, lines: [SocketAddr; 2], mut pause: impl FnMut(u64)) {
        let mut sender = FrameSender::open(TX_INTERFACE).unwrap();
        let source = SocketAddr::new(TX_ADDRESS.into(), 4_000);
        let plain = lines.map(|line| FrameBuilder::udp(source, line).without_checksum());
        let tagged = plain.clone().map(|line| line.vlan(5));
        let foreign = foreign_frames(source, lines);
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for number in 0..self.packets {
            let (line, sequence) = ((number % 2) as usize, number / 2);
            if self.is_fragmented(number) {
                let whole = plain[line].clone().identification(number as u16);
                frames.extend(whole.fragments(&payload(line, sequence, FRAGMENTED_BYTES), 1_000));
            } else if self.is_tagged(number) {
                frames.push(tagged[line].build(&payload(line, sequence, PAYLOAD_BYTES)));
            } else {
                frames.push(plain[line].build(&payload(line, sequence, PAYLOAD_BYTES)));
            }
            if self.foreign_every > 0 && number.is_multiple_of(self.foreign_every) {
                let which = (number / self.foreign_every) as usize % foreign.len();
                frames.push(foreign[which].clone());
            }
            if number % BURST == BURST - 1 || number + 1 == self.packets {
                let burst: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
                sender.send_batch(&burst).unwrap();
                frames.clear();
                pause(number + 1);
            }
        }
    }
}

fn payload(line: usize, sequence: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![line as u8];
    bytes.extend(sequence.to_be_bytes());
    bytes.resize(length, (sequence % 251) as u8);
    bytes
}

/// Another port, another group, TCP, ARP, and frames that lie about their lengths.
fn foreign_frames(source: SocketAddr, lines: [SocketAddr; 2]) -> Vec<Vec<u8>> {
    let to = |destination: &str| FrameBuilder::udp(source, destination.parse().unwrap());
    let of_line = FrameBuilder::udp(source, lines[0]);
    let mut tcp = of_line.build(&[9; 40]);
    tcp[23] = 6;
    let mut arp = of_line.build(&[9; 40]);
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let lies = [
        Malformation::ShortHeaderLength,
        Malformation::IpLengthBeyond(100),
        Malformation::UdpLengthBeyond(100),
        Malformation::UdpLengthShort,
        Malformation::Truncated(30),
    ];
    let lies = lies.map(|lie| of_line.malformed(&[9; 40], lie));
    let other_port = FrameBuilder::udp(source, SocketAddr::new(lines[0].ip(), 31_099));
    let others = [
        other_port.build(&[9; 64]),
        to("239.77.9.9:31001").build(&[9; 64]),
        tcp,
        arp,
    ];
    others.into_iter().chain(lies).collect()
}

/// What arrived of a mix.
pub(crate) struct Tally {
    mix: Mix,
    seen: Vec<bool>,
    /// The next sequence that is in order, by line.
    next: [u64; 2],
    pub(crate) received: u64,
    /// Packets by where their time comes from: hardware, kernel, user.
    pub(crate) stamps: [u64; 3],
}

impl Tally {
    pub(crate) fn new(mix: Mix) -> Self {
        Self {
            mix,
            seen: vec![false; mix.packets as usize],
            next: [0; 2],
            received: 0,
            stamps: [0; 3],
        }
    }

    /// Checks one datagram: whole, of its line, not seen before, and in order on its line. A packet
    /// that came in fragments may come late where the kernel puts it together
    /// (`is_order_of_fragments_kept` is false).
    pub(crate) fn take(&mut self, datagram: &Datagram<'_>, is_order_of_fragments_kept: bool) {
        let line = usize::from(datagram.payload[0]);
        let sequence = u64::from_be_bytes(datagram.payload[1..9].try_into().unwrap());
        let number = sequence * 2 + line as u64;
        assert_eq!(usize::from(datagram.line), line, "of its line");
        let is_fragmented = self.mix.is_fragmented(number);
        let length = if is_fragmented {
            FRAGMENTED_BYTES
        } else {
            PAYLOAD_BYTES
        };
        assert_eq!(
            (datagram.payload.len(), datagram.truncated),
            (length, false),
            "{number}"
        );
        let is_same = datagram.payload[9..]
            .iter()
            .all(|byte| u64::from(*byte) == sequence % 251);
        assert!(is_same, "the bytes of packet {number}");
        assert_eq!(datagram.source, SocketAddr::new(TX_ADDRESS.into(), 4_000));
        assert!(
            !std::mem::replace(&mut self.seen[number as usize], true),
            "{number} came twice"
        );
        if !is_fragmented || is_order_of_fragments_kept {
            assert!(
                sequence >= self.next[line],
                "{sequence} behind {}",
                self.next[line]
            );
            self.next[line] = sequence + 1;
        }
        self.received += 1;
        self.stamps[match datagram.stamp {
            Stamp::Hardware => 0,
            Stamp::Kernel => 1,
            Stamp::User => 2,
        }] += 1;
    }

    /// Packets that did not arrive.
    pub(crate) fn missing(&self) -> u64 {
        self.mix.packets - self.received
    }
}
