//! What a journal that follows the ring costs the thread that writes the ring, and whether idle
//! channels slow a busy one.
//!
//! *Writing thread*: bursts of 64 packets of one message, each offered to the merge by line A and
//! by line B and published once, as the receive thread does behind its sockets; the clock runs
//! within bursts only, and bursts begin at the asked rate. *Journal*: the loop of the worker's
//! journal thread, on the next core: up to 512 records, then a poll, then yield or sleep. With and
//! without it take turns; the ratio is taken within a round.
//!
//! *Channels*: a ring of 30,000 records is drained into a log by that loop, all records of one
//! channel, or one in a hundred of fifteen others.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickdeck_net::pin_current_thread;
use tickdeck_ring::RecordHeader;

use super::copier::{Copier, Followed, Follower};
use super::run::{PAYLOAD, Payloads};
use super::{Error, Options};
use crate::rounds::spread_to;
use crate::rx::merged::{BenchRing, Merged};
use crate::rx::path::Sink;

/// Measures both questions.
pub(super) fn measure(
    options: &Options,
    dir: &Path,
    payloads: &Payloads,
    rounds: usize,
) -> Result<Value, Error> {
    let mut costs = [const { Vec::new() }; 2];
    let (mut ratios, mut journalled, mut overrun) = (Vec::new(), Vec::new(), 0);
    for round in 0..=rounds {
        let mut pair = [0.0; 2];
        for turn in 0..2 {
            let follows = (round + turn) % 2 == 1;
            let log = follows.then(|| dir.join("journal"));
            let run = write_ring(options, log.as_deref(), payloads)?;
            pair[usize::from(follows)] = run.ns_per_packet;
            if round > 0 && follows {
                journalled.push(run.journalled as f64);
                overrun += run.overrun;
            }
        }
        if round > 0 {
            costs[0].push(pair[0]);
            costs[1].push(pair[1]);
            ratios.push(pair[1] / pair[0]);
        }
    }
    let channels = channels(options, dir, payloads, rounds)?;
    Ok(json!({"following": {
        "rate": options.rate,
        "packets": options.records,
        "off_ns_per_packet": spread_to(&costs[0], 2),
        "on_ns_per_packet": spread_to(&costs[1], 2),
        "ratio": spread_to(&ratios, 3),
        "journalled": spread_to(&journalled, 0),
        "overrun": overrun,
    }, "channels": channels}))
}

/// One run of the writing thread.
struct Following {
    ns_per_packet: f64,
    journalled: u64,
    overrun: u64,
}

fn write_ring(
    options: &Options,
    log: Option<&Path>,
    payloads: &Payloads,
) -> Result<Following, Error> {
    let mut ring = BenchRing::create().map_err(|error| Error::WrongResult(error.to_string()))?;
    let packets = options.records / BURST as u64 * BURST as u64;
    let follower = log.map(|log| Follower::start(ring.path(), log.to_owned(), 1, options.cpu + 1));
    let cost = thread::scope(|scope| {
        let ring = &mut ring;
        let publishing = scope.spawn(move || publish(ring, options, payloads, packets));
        publishing.join()
    });
    let followed = follower
        .map(|follower| follower.finish(packets + 1))
        .transpose()?;
    let ns_per_packet = cost.map_err(|_| Error::WrongResult("the thread died".into()))??;
    let Followed {
        journalled,
        overrun,
    } = followed.unwrap_or(Followed {
        journalled: 0,
        overrun: 0,
    });
    if log.is_some() && journalled + overrun != packets {
        let text = format!("{journalled} journalled and {overrun} overrun of {packets}");
        return Err(Error::WrongResult(text));
    }
    Ok(Following {
        ns_per_packet,
        journalled,
        overrun,
    })
}

/// Merges and publishes; gives nanoseconds per packet within bursts.
fn publish(
    ring: &mut BenchRing,
    options: &Options,
    payloads: &Payloads,
    packets: u64,
) -> Result<f64, Error> {
    pin(options.cpu)?;
    let (mut merged, mut payloads) = (Merged::new(ring), payloads.begin());
    let mut burst = vec![[0_u8; PACKET]; BURST];
    let gap = match options.rate {
        0 => Duration::ZERO,
        rate => Duration::from_secs_f64(BURST as f64 / rate as f64),
    };
    let (mut spent, mut sequence) = (Duration::ZERO, 1);
    let begin = Instant::now();
    for number in 0..packets / BURST as u64 {
        for packet in &mut burst {
            fill(packet, sequence, payloads.next());
            sequence += 1;
        }
        let due = gap * u32::try_from(number).unwrap_or(u32::MAX);
        while begin.elapsed() < due {
            std::hint::spin_loop();
        }
        let started = Instant::now();
        for line in [0, 1] {
            merged.begin();
            for packet in &burst {
                merged.take(line, packet, sequence);
            }
            merged.end();
        }
        spent += started.elapsed();
    }
    merged.check(1, packets, 0).map_err(Error::WrongResult)?;
    Ok(spent.as_nanos() as f64 / packets as f64)
}

/// A MoldUDP64 packet of one message.
fn fill(packet: &mut [u8; PACKET], sequence: u64, message: &[u8]) {
    packet[..10].copy_from_slice(b"BENCH     ");
    packet[10..18].copy_from_slice(&sequence.to_be_bytes());
    packet[18..20].copy_from_slice(&1_u16.to_be_bytes());
    packet[20..22].copy_from_slice(&(PAYLOAD as u16).to_be_bytes());
    packet[22..].copy_from_slice(message);
}

/// Drains rings of one channel and of sixteen by turns.
fn channels(
    options: &Options,
    dir: &Path,
    payloads: &Payloads,
    rounds: usize,
) -> Result<Value, Error> {
    let mut rates = [const { Vec::new() }; 2];
    for round in 0..=rounds {
        for turn in 0..2 {
            let many = (round + turn) % 2 == 1;
            let rate = drain(options, dir, payloads, many)?;
            if round > 0 {
                rates[usize::from(many)].push(rate);
            }
        }
    }
    let ratios: Vec<f64> = rates[1].iter().zip(&rates[0]).map(|(a, b)| a / b).collect();
    Ok(json!({
        "one_channel_records_per_second": spread_to(&rates[0], 0),
        "sixteen_channels_records_per_second": spread_to(&rates[1], 0),
        "ratio": spread_to(&ratios, 3),
        "wanted": 0.95,
    }))
}

/// Records a second into a log.
fn drain(options: &Options, dir: &Path, payloads: &Payloads, many: bool) -> Result<f64, Error> {
    let mut ring = BenchRing::create().map_err(|error| Error::WrongResult(error.to_string()))?;
    let mut payloads = payloads.begin();
    let log: PathBuf = dir.join("journal");
    let mut copier = Copier::open(&ring.path(), &log, 1)?;
    let mut spent = Duration::ZERO;
    let turns = (options.records / RING_FILL).max(1);
    for _ in 0..turns {
        for number in 0..RING_FILL {
            let idle = many && number % 100 == 0;
            let header = RecordHeader {
                kind: 1,
                channel: if idle {
                    2 + (number / 100 % 15) as u16
                } else {
                    1
                },
                ..RecordHeader::default()
            };
            ring.publish(&header, payloads.next())?;
        }
        let begin = Instant::now();
        while copier.pass()? > 0 {}
        spent += begin.elapsed();
    }
    let followed = copier.close(&log)?;
    if followed.journalled != turns * RING_FILL {
        return Err(Error::WrongResult(format!("{followed:?}")));
    }
    Ok(followed.journalled as f64 / spent.as_secs_f64())
}

fn pin(cpu: usize) -> Result<(), Error> {
    pin_current_thread(cpu).map_err(|error| Error::WrongResult(error.to_string()))
}

const BURST: usize = 64;
/// Bytes of a MoldUDP64 packet with one message.
const PACKET: usize = 22 + PAYLOAD;
/// Below the slots of the ring, so that nothing is overwritten.
const RING_FILL: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A small run accounts for every record, in the log or overrun, and drains both kinds of ring.
    #[test]
    fn every_record_is_accounted_for() {
        let dir = tempfile::tempdir().unwrap();
        let payloads = Payloads::new(vec![7; PAYLOAD * 10]);
        let options = Options {
            batches: Vec::new(),
            policies: Vec::new(),
            codecs: Vec::new(),
            dir: None,
            records: 6_400,
            syncs: 1,
            segment_mib: 64,
            rocksdb: None,
            receive: true,
            rate: 0,
            cpu: 0,
        };
        if pin_current_thread(1).is_err() {
            println!("SKIPPED: there is one core only");
            return;
        }
        let report = measure(&options, dir.path(), &payloads, 5).unwrap();
        assert!(report["following"]["ratio"]["median"].as_f64() > Some(0.0));
        assert!(report["channels"]["ratio"]["median"].as_f64() > Some(0.0));
        assert_eq!(report["following"]["packets"], 6_400);
    }
}
