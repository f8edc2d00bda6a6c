//! Decoding against the shortest loop that reads the same fields.

use std::hint::black_box;
use std::path::Path;

use serde_json::{Value, json};
use tickdeck_wire::binaryfile::Messages;
use tickdeck_wire::itch50::{self, Message, Side};

use crate::Error;
use crate::anchors;
use crate::book::split_message;
use crate::day::{Day, NOT_AS_ON_DISK, read_in_blocks, walk};
use crate::machine::Machine;
use crate::rounds::{Contender, Timed, compare, timed};

/// Bytes of a read of CppTrader's handler.
const BLOCK_BYTES: usize = 8 << 10;

/// Nanoseconds per message of an ITCH 5.0 BinaryFILE, plain or gzip.
pub(crate) fn run(path: &Path, rounds: usize) -> Result<Value, Error> {
    let machine = Machine::before();
    let day = Day::read(path)?;
    let bytes = &day.bytes[..];
    let contender = |name, is_baseline, decode: fn(&[u8], &mut Sums) -> usize| Contender {
        name,
        is_baseline,
        run: Box::new(move || in_memory(bytes, decode)),
    };
    let mut contenders = vec![
        contender("bare decode loop", true, bare),
        contender("decode", false, ours),
    ];
    if let Some(path) = day.on_disk() {
        let contender = |name, is_baseline, decode: fn(&[u8], &mut Sums) -> usize| Contender {
            name,
            is_baseline,
            run: Box::new(move || with_file(path, decode)),
        };
        contenders.push(contender("bare, file in the clock", true, bare));
        contenders.push(contender("decode, file in the clock", false, ours));
    }
    let mut report = compare(&mut contenders, day.messages, rounds)?;
    let mut walks = [Contender {
        name: "length walk",
        is_baseline: true,
        run: Box::new(|| timed(|| walk(bytes), |(messages, _)| messages)),
    }];
    let walks = compare(&mut walks, day.messages, rounds)?;
    let rows = report["results"].as_array_mut().expect("rows are a list");
    rows.extend(walks["results"].as_array().cloned().unwrap_or_default());
    let median = |row: usize| report["results"][row]["ns_per_item"]["median"].clone();
    let with_file = if day.on_disk().is_some() {
        median(3)
    } else {
        Value::Null
    };
    let anchors = anchors::beside(&anchors::DECODE, &median(1), &with_file);
    report["anchors"] = anchors;
    if day.on_disk().is_none() {
        report["skipped_file"] = json!(NOT_AS_ON_DISK);
    }
    report["clock"] = json!(
        "messages only, file in memory; \"file in the clock\": opened and read \
                             from the page cache in blocks of 8 KiB as well"
    );
    report["machine"] = machine.after();
    Ok(report)
}

fn in_memory(bytes: &[u8], decode: fn(&[u8], &mut Sums) -> usize) -> Timed {
    let work = || {
        let mut sums = Sums::default();
        decode(bytes, &mut sums);
        sums
    };
    timed(work, Sums::checksum)
}

fn with_file(path: &Path, decode: fn(&[u8], &mut Sums) -> usize) -> Timed {
    let work = || {
        let mut sums = Sums::default();
        read_in_blocks(path, BLOCK_BYTES, |piece| decode(piece, &mut sums));
        sums
    };
    timed(work, Sums::checksum)
}

/// Every field of the messages that make books, and the time of all others.
#[derive(Default)]
struct Sums {
    messages: u64,
    time: u64,
    locate: u64,
    reference: u64,
    shares: u64,
    price: u64,
    stock: u64,
    sells: u64,
    matches: u64,
}

impl Sums {
    fn checksum(self) -> u64 {
        let all = [
            self.messages,
            self.time,
            self.locate,
            self.reference,
            self.shares,
            self.price,
            self.stock,
            self.sells,
            self.matches,
        ];
        all.into_iter().fold(0, |sum, word| {
            (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        })
    }

    #[inline(always)]
    fn head(&mut self, time: u64, locate: u16) {
        self.messages += 1;
        self.time = self.time.wrapping_add(time);
        self.locate += u64::from(locate);
    }

    #[inline(always)]
    fn add(&mut self, reference: u64, is_sell: bool, shares: u32, stock: [u8; 8], price: u32) {
        self.order(reference, shares);
        self.sells += u64::from(is_sell);
        self.stock = self.stock.wrapping_add(u64::from_ne_bytes(stock));
        self.price += u64::from(price);
    }

    #[inline(always)]
    fn order(&mut self, reference: u64, shares: u32) {
        self.reference = self.reference.wrapping_add(reference);
        self.shares += u64::from(shares);
    }
}

/// Believes every byte.
fn bare(bytes: &[u8], sums: &mut Sums) -> usize {
    let mut rest = bytes;
    while let Some(message) = split_message(&mut rest) {
        let Some(head) = message.first_chunk::<11>() else {
            continue;
        };
        let time =
            u64::from_be_bytes([0, 0, head[5], head[6], head[7], head[8], head[9], head[10]]);
        sums.head(time, u16::from_be_bytes([head[1], head[2]]));
        match head[0] {
            b'A' | b'F' => {
                let Some(m) = message.first_chunk::<36>() else {
                    continue;
                };
                let stock = [m[24], m[25], m[26], m[27], m[28], m[29], m[30], m[31]];
                sums.add(long(m, 11), m[19] == b'S', word(m, 20), stock, word(m, 32));
            }
            b'D' => {
                if let Some(m) = message.first_chunk::<19>() {
                    sums.order(long(m, 11), 0);
                }
            }
            b'U' => {
                if let Some(m) = message.first_chunk::<35>() {
                    sums.order(long(m, 11), word(m, 27));
                    sums.order(long(m, 19), 0);
                    sums.price += u64::from(word(m, 31));
                }
            }
            b'E' | b'C' => {
                if let Some(m) = message.first_chunk::<31>() {
                    sums.order(long(m, 11), word(m, 19));
                    sums.matches = sums.matches.wrapping_add(long(m, 23));
                }
            }
            b'X' => {
                if let Some(m) = message.first_chunk::<23>() {
                    sums.order(long(m, 11), word(m, 19));
                }
            }
            _ => {}
        }
    }
    bytes.len() - rest.len()
}

fn ours(bytes: &[u8], sums: &mut Sums) -> usize {
    let mut messages = Messages::new(bytes);
    for message in messages.by_ref().map_while(Result::ok) {
        let Ok(message) = itch50::parse(message) else {
            black_box(&mut *sums).messages += 1 << 40;
            continue;
        };
        match message {
            Message::AddOrder(m) => {
                sums.head(m.timestamp_ns(), m.stock_locate());
                let is_sell = m.side() == Side::Sell;
                sums.add(
                    m.order_reference(),
                    is_sell,
                    m.shares(),
                    m.stock().0,
                    m.price(),
                );
            }
            Message::AddOrderMpid(m) => {
                sums.head(m.timestamp_ns(), m.stock_locate());
                let is_sell = m.side() == Side::Sell;
                sums.add(
                    m.order_reference(),
                    is_sell,
                    m.shares(),
                    m.stock().0,
                    m.price(),
                );
            }
            Message::OrderDelete(m) => {
                sums.head(m.timestamp_ns(), m.stock_locate());
                sums.order(m.order_reference(), 0);
            }
            Message::OrderReplace(m) => {
                sums.head(m.timestamp_ns(), m.stock_locate());
                sums.order(m.original_order_reference(), m.shares());
                sums.order(m.new_order_reference(), 0);
                sums.price += u64::from(m.price());
            }
            Message::OrderExecuted(m) => {
                sums.head(m.timestamp_ns(), m.stock_locate());
                sums.order(m.order_reference(), m.executed_shares());
                sums.matches = sums.matches.wrapping_add(m.match_number());
            }
            Message::OrderExecutedWithPrice(m) => {
                sums.head(m.timestamp_ns(), m.stock_locate());
                sums.order(m.order_reference(), m.executed_shares());
                sums.matches = sums.matches.wrapping_add(m.match_number());
            }
            Message::OrderCancel(m) => {
                sums.head(m.timestamp_ns(), m.stock_locate());
                sums.order(m.order_reference(), m.cancelled_shares());
            }
            other => sums.head(other.timestamp_ns(), other.stock_locate()),
        }
    }
    messages.offset()
}

#[inline(always)]
fn word<const N: usize>(message: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([
        message[at],
        message[at + 1],
        message[at + 2],
        message[at + 3],
    ])
}

#[inline(always)]
fn long<const N: usize>(message: &[u8; N], at: usize) -> u64 {
    (u64::from(word(message, at)) << 32) | u64::from(word(message, at + 4))
}
