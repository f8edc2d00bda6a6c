//! The decoders of `wire` against slow ones in Python, written from the exchanges' documents.
//!
//! Packets come from the simulators, a part of them with values damaged in place, and from real
//! captures when their folder lies beside the repository. Each goes with what the decoders here make
//! of it, as text, to `tests/reference/decode.py`, which decodes the bytes by itself and compares.
//!
//! `TICKDECK_DIFFERENTIAL_PACKETS` is how many of each protocol, `TICKDECK_DIFFERENTIAL_SEED` which.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use tickdeck_sim::day::{DayConfig, generate};
use tickdeck_sim::{HistoryBuilder, Packetizer, Random, SimError, cme, eobi, write_packet};
use tickdeck_wire::cme::{self as mdp, View};
use tickdeck_wire::eobi::{self as t7, Content, Release};
use tickdeck_wire::{itch50, moldudp64};

/// R19: no packet is read differently.
#[test]
fn decoders_agree_with_the_reference() {
    let (count, seed) = (
        knob("TICKDECK_DIFFERENTIAL_PACKETS", 8_000),
        knob("TICKDECK_DIFFERENTIAL_SEED", 1),
    );
    let mut reference = Reference::start();
    itch_packets(count, seed, &mut |packet| reference.itch(packet));
    for release in Release::ALL {
        let mut random = Random::new(seed);
        eobi_packets(count / 2, seed, release, &mut |packet| {
            reference.eobi(release, packet);
            if let Some(damaged) = damaged_eobi(packet, release, &mut random) {
                reference.eobi(release, &damaged);
            }
        });
    }
    let mut random = Random::new(seed);
    cme_packets(count, seed, &mut |packet| {
        reference.cme(packet);
        if let Some(damaged) = damaged_cme(packet, &mut random) {
            reference.cme(&damaged);
        }
    });
    let captured = captures(&mut reference);
    let (report, is_equal) = reference.finish();
    println!("seed {seed}, {captured} packets of captures: {report}");
    assert!(is_equal, "{report}");
}

/// A reference that is told something else says so.
#[test]
fn a_difference_is_seen() {
    let mut reference = Reference::start();
    itch_packets(3, 1, &mut |packet| {
        let text = of_itch(packet).replace("stock_locate: ", "stock_locate: 1");
        reference.tell("itch", packet, &text);
    });
    let (report, is_equal) = reference.finish();
    assert!(!is_equal, "{report}");
}

fn knob(name: &str, usual: u64) -> u64 {
    env::var(name).map_or(usual, |text| {
        text.parse()
            .unwrap_or_else(|error| panic!("{name}={text}: {error}"))
    })
}

/// The Python side.
struct Reference {
    child: Child,
    input: BufWriter<ChildStdin>,
    hex: String,
}

impl Reference {
    fn start() -> Self {
        let script = repository().join("tests/reference/decode.py");
        let mut child = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let input = BufWriter::new(child.stdin.take().expect("is piped"));
        let hex = String::new();
        Self { child, input, hex }
    }

    fn itch(&mut self, packet: &[u8]) {
        self.tell("itch", packet, &of_itch(packet));
    }

    fn eobi(&mut self, release: Release, packet: &[u8]) {
        let name = match release {
            Release::V6_0 => "eobi-6.0",
            Release::V14_1 => "eobi-14.1",
        };
        self.tell(name, packet, &of_eobi(packet, release));
    }

    fn cme(&mut self, packet: &[u8]) {
        self.tell("cme", packet, &of_cme(packet));
    }

    fn tell(&mut self, protocol: &str, packet: &[u8], text: &str) {
        self.hex.clear();
        for byte in packet {
            write!(self.hex, "{byte:02x}").expect("a string takes all");
        }
        writeln!(self.input, "{protocol}\t{}\t{text}", self.hex).expect("the reference reads");
    }

    /// Its report, and whether it found no difference.
    fn finish(self) -> (String, bool) {
        drop(
            self.input
                .into_inner()
                .expect("the reference reads to the end"),
        );
        let output = self.child.wait_with_output().expect("ends");
        let report = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1)), "{code:?}: {report}");
        (report, code == Some(0))
    }
}

/// Session, number and messages; a packet that is refused gives the word for it.
fn of_itch(packet: &[u8]) -> String {
    let packet = match moldudp64::Packet::parse(packet) {
        Ok(packet) => packet,
        Err(error) => return format!("refused {}", error.reason()),
    };
    let mut text = format!(
        "{:?} {} {:?}",
        packet.session(),
        packet.first_sequence(),
        packet.kind()
    );
    for block in packet.messages() {
        match itch50::parse(block) {
            Ok(message) => write!(text, " | {message:?}"),
            Err(error) => write!(text, " | refused {}", error.reason()),
        }
        .expect("a string takes all");
    }
    text
}

fn of_eobi(packet: &[u8], release: Release) -> String {
    let packet = match t7::Packet::parse(packet, release) {
        Ok(packet) => packet,
        Err(error) => return format!("refused {}", error.reason()),
    };
    let mut text = format!(
        "{} {} {} {} {} {}",
        packet.sequence(),
        packet.market_segment_id(),
        packet.partition_id(),
        packet.completes(),
        packet.resets(),
        packet.transact_time_ns()
    );
    for message in packet.messages() {
        let number = message.msg_seq_num();
        write!(text, " | {} {number:?} ", message.template_id()).expect("a string takes all");
        match message.content(release) {
            Ok(content) if is_of_orders(&content) => write!(text, "{content:?}"),
            Ok(_) => write!(text, "other"),
            Err(error) if is_order_template(message.template_id()) => {
                write!(text, "refused {}", error.reason())
            }
            Err(_) => write!(text, "other"),
        }
        .expect("a string takes all");
    }
    text
}

fn is_of_orders(content: &Content<'_>) -> bool {
    matches!(
        content,
        Content::Heartbeat { .. }
            | Content::OrderAdd { .. }
            | Content::OrderModify { .. }
            | Content::OrderModifySamePriority { .. }
            | Content::OrderDelete { .. }
            | Content::OrderMassDelete { .. }
            | Content::FullOrderExecution(_)
            | Content::PartialOrderExecution(_)
            | Content::SnapshotOrder(_)
    )
}

fn is_order_template(template_id: u16) -> bool {
    matches!(template_id, 13_001 | 13_100..=13_106 | 13_602)
}

fn of_cme(packet: &[u8]) -> String {
    let packet = match mdp::Packet::parse(packet) {
        Ok(packet) => packet,
        Err(error) => return format!("refused {}", error.reason()),
    };
    let mut text = format!("{} {}", packet.sequence(), packet.sending_time_ns());
    for message in packet.messages() {
        let (template_id, version) = (message.template_id(), message.version());
        write!(text, " | {template_id} {version} ").expect("a string takes all");
        match message.view() {
            Ok(
                view @ (View::Heartbeat
                | View::Book { .. }
                | View::OrderBook { .. }
                | View::Volume { .. }
                | View::Snapshot { .. }
                | View::OrderSnapshot { .. }),
            ) => write!(text, "{view:?}"),
            _ => write!(text, "other"),
        }
        .expect("a string takes all");
    }
    text
}

/// A generated day in packets, every third one cut short or lengthened as well.
fn itch_packets(count: u64, seed: u64, each: &mut dyn FnMut(&[u8])) {
    let mut builder = HistoryBuilder::with_capacity(1 << 20);
    let config = DayConfig {
        messages: count * 12,
        instruments: 40,
        seed,
    };
    generate(config, |message| builder.push(message)).expect("generates");
    let history = builder.finish();
    let planned: Result<Packetizer, SimError> = Packetizer::new(&history, 1400, 12);
    let mut planned = planned.expect("fits");
    let (mut random, mut packet) = (Random::new(seed), Vec::new());
    for _ in 0..count {
        let Some(next) = planned.next(&history) else {
            break;
        };
        write_packet(
            &history,
            moldudp64::Session(*b"DIFF000001"),
            next,
            &mut packet,
        );
        each(&packet);
        match random.below(9) {
            0 => each(&packet[..random.below(packet.len() as u64) as usize]),
            1 => each(&[&packet[..], &[7]].concat()),
            2 => {
                let at = random.below(packet.len() as u64) as usize;
                packet[at] = random.below(256) as u8;
                each(&packet);
            }
            _ => {}
        }
    }
}

/// Both channels of a session of a release, line A.
fn eobi_packets(count: u64, seed: u64, release: Release, each: &mut dyn FnMut(&[u8])) {
    let session = eobi::Session::new(eobi::SessionConfig {
        seed,
        release,
        steps: count * 4,
        restart_at: Some(count / 2),
        ..eobi::SessionConfig::default()
    });
    let packets = session.filter(|packet| packet.line == 0);
    for packet in packets.take(usize::try_from(count).expect("fits")) {
        each(&packet.bytes);
    }
}

/// A channel with its snapshots, by price and by order.
fn cme_packets(count: u64, seed: u64, each: &mut dyn FnMut(&[u8])) {
    let mut channel = cme::Channel::new(cme::ChannelConfig {
        seed,
        ..cme::ChannelConfig::default()
    });
    for number in 0..count {
        each(channel.next_packet());
        if number % 500 == 499 {
            for kind in [cme::Snapshots::Prices, cme::Snapshots::Orders] {
                channel.snapshot_loop(kind).iter().for_each(|it| each(it));
            }
        }
    }
}

/// One packet in three again, with an odd value somewhere behind length and template of a message.
fn damaged_eobi(packet: &[u8], release: Release, random: &mut Random) -> Option<Vec<u8>> {
    let parsed = t7::Packet::parse(packet, release).ok()?;
    let bodies: Vec<&[u8]> = parsed.messages().map(|message| message.body()).collect();
    let body = *bodies.get(random.below(bodies.len() as u64 * 3) as usize)?;
    Some(with_odd_value(packet, &body[4..], random))
}

/// The same for a root block or an entry.
fn damaged_cme(packet: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let parsed = mdp::Packet::parse(packet).ok()?;
    let mut blocks: Vec<&[u8]> = Vec::new();
    for message in parsed.messages() {
        blocks.push(message.root());
        if let Ok(groups) = message.groups() {
            blocks.extend(groups.first().entries());
            blocks.extend(groups.second().entries());
        }
    }
    blocks.retain(|block| !block.is_empty());
    let block = *blocks.get(random.below(blocks.len() as u64 * 3 + 1) as usize)?;
    Some(with_odd_value(packet, block, random))
}

/// The packet with some bytes of `part`, which lies in it, overwritten.
fn with_odd_value(packet: &[u8], part: &[u8], random: &mut Random) -> Vec<u8> {
    let begin = part.as_ptr().addr() - packet.as_ptr().addr();
    let at = begin + random.below(part.len() as u64) as usize;
    let values: [&[u8]; 5] = [
        &[0xff; 8],
        &[0, 0, 0, 0, 0, 0, 0, 0x80],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0xff, 0xff, 0xff, 0x7f],
        &[random.below(256) as u8],
    ];
    let value = values[random.below(5) as usize];
    let mut damaged = packet.to_vec();
    let end = (at + value.len()).min(begin + part.len());
    damaged[at..end].copy_from_slice(&value[..end - at]);
    damaged
}

/// Real packets; 0 when there are none.
fn captures(reference: &mut Reference) -> u64 {
    let data = repository().join("../shared/data");
    if !data.is_dir() {
        println!("SKIPPED: real captures: {} is absent", data.display());
        return 0;
    }
    let mut count = 0;
    let mut all = |folder: &str, each: &mut dyn FnMut(&[u8])| {
        let entries = fs::read_dir(data.join(folder)).expect("lists");
        for entry in entries {
            let path = entry.expect("lists").path();
            if path
                .extension()
                .is_some_and(|extension| extension == "pcap")
            {
                payloads(&fs::read(path).expect("reads"), &mut |payload| {
                    count += 1;
                    each(payload);
                });
            }
        }
    };
    all("itch50/packets", &mut |packet| reference.itch(packet));
    all("eobi/packets_v6.0", &mut |packet| {
        reference.eobi(Release::V6_0, packet);
    });
    all("cme", &mut |packet| reference.cme(packet));
    all("cme/packets_v1.9", &mut |packet| reference.cme(packet));
    count
}

/// UDP payloads of a little-endian pcap or pcapng of Ethernet frames.
fn payloads(capture: &[u8], each: &mut dyn FnMut(&[u8])) {
    let word = |at: usize| {
        let bytes = capture.get(at..at + 4).expect("whole records");
        u32::from_le_bytes(bytes.try_into().expect("four")) as usize
    };
    let is_pcapng = word(0) == 0x0a0d_0d0a;
    let mut at = if is_pcapng { 0 } else { 24 };
    while at < capture.len() {
        let (frame, size) = if is_pcapng {
            let enhanced = (word(at) == 6).then(|| &capture[at + 28..at + 28 + word(at + 20)]);
            (enhanced, word(at + 4))
        } else {
            let len = word(at + 8);
            (Some(&capture[at + 16..at + 16 + len]), 16 + len)
        };
        if let Some(payload) = frame.and_then(payload_of) {
            each(payload);
        }
        at += size;
    }
}

/// Ethernet with any number of VLAN tags, IPv4, UDP.
fn payload_of(frame: &[u8]) -> Option<&[u8]> {
    let half = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let mut at = 12;
    while half(at)? == 0x8100 {
        at += 4;
    }
    let ip = at + 2;
    let udp = ip + usize::from(frame.get(ip)? & 15) * 4;
    let is_udp = half(at)? == 0x0800 && *frame.get(ip + 9)? == 17;
    let len = usize::from(half(udp + 4)?);
    is_udp.then(|| frame.get(udp + 8..udp + len)).flatten()
}

fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.."))
}
