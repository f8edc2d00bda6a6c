//! `play-cme`: a generated CME MDP 3.0 channel on multicast lines, with its snapshot loop.

use std::io::Write as _;
use std::str::FromStr;

use clap::Args;
use serde_json::json;
use tickdeck_net::clock::{monotonic_ns, realtime_ns};
use tickdeck_sim::Damage;
use tickdeck_sim::cme::{Channel, ChannelConfig, SnapshotFault, SnapshotTurns};

use super::channel_player::{ChannelPlayer, OutletArgs, Route};
use crate::exit::{Code, Failure};
use crate::lifecycle::StopFlag;

/// Packets of the incremental channel between two books of the snapshot channel.
const PACKETS_PER_BOOK: u64 = 2;

#[derive(Args, Debug)]
pub(super) struct PlayCmeArgs {
    #[command(flatten)]
    outlets: OutletArgs,
    /// Instruments of the channel.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    instruments: u16,
    /// Seed of the channel, and of faults that name none.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Packets per second on each line; half as many books on the snapshot channel.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Packets until the end; without it, go on until stopped.
    #[arg(long)]
    steps: Option<u64>,
    /// Empty every book of the channel with this packet.
    #[arg(long, value_name = "STEP")]
    channel_reset_at: Option<u64>,
    /// Begin a new week before this packet: all numbers begin again.
    #[arg(long, value_name = "STEP")]
    week_at: Option<u64>,
    /// What goes wrong on the snapshot channel from the start: silent, drop=PROBABILITY, stale,
    /// partial, mixed, garbage or truncated.
    #[arg(long, value_name = "FAULT", default_value = "none")]
    snapshot_fault: SnapshotFaultArg,
    /// For how long; without it, to the end.
    #[arg(long, value_name = "MS")]
    snapshot_fault_ms: Option<u64>,
}

/// What is wrong with snapshots, by its name: with the loop, or with its datagrams.
#[derive(Clone, Copy, Debug, PartialEq)]
struct SnapshotFaultArg {
    fault: SnapshotFault,
    damage: Damage,
}

/// Plays the channel to its end, or until stopped.
pub(super) fn play(args: &PlayCmeArgs) -> Result<Code, Failure> {
    let stop = StopFlag::on_signals()?;
    let mut player = ChannelPlayer::open(&args.outlets, args.seed)?;
    player.damage_snapshots(args.snapshot_fault.damage);
    let mut channel = Channel::new(ChannelConfig {
        seed: args.seed,
        instruments: args.instruments.into(),
        start_ns: realtime_ns(),
        ..ChannelConfig::default()
    });
    let mut turns = SnapshotTurns::new(args.seed);
    turns.set_fault(args.snapshot_fault.fault);
    announce(args)?;
    let (start_ns, step_ns) = (monotonic_ns(), 1_000_000_000 / args.rate);
    let fault_ends_ns = args
        .snapshot_fault_ms
        .map(|ms| ms.saturating_mul(1_000_000));
    for step in 1..=args.steps.unwrap_or(u64::MAX) {
        let at_ns = step.saturating_mul(step_ns);
        if fault_ends_ns.is_some_and(|ends_ns| at_ns >= ends_ns) {
            turns.set_fault(SnapshotFault::None);
            player.damage_snapshots(Damage::None);
        }
        if !player.wait(start_ns.saturating_add(at_ns), &stop)? {
            return Ok(Code::Clean);
        }
        if args.week_at == Some(step) {
            channel.next_week();
            turns.restart();
        }
        channel.advance_to(realtime_ns());
        let packet = if args.channel_reset_at == Some(step) {
            channel.channel_reset().to_vec()
        } else {
            channel.next_packet().to_vec()
        };
        for line in 0..2 {
            player.send(line, Route::Line, packet.clone())?;
        }
        if step.is_multiple_of(PACKETS_PER_BOOK) {
            for packet in turns.next(&channel) {
                for line in 0..2 {
                    player.send(line, Route::Snapshot, packet.clone())?;
                }
            }
        }
    }
    player.finish(&stop)?;
    Ok(Code::Clean)
}

/// Tells whoever started this process that the lines are open: one JSON line.
fn announce(args: &PlayCmeArgs) -> Result<(), Failure> {
    let line = json!({"ready": true, "instruments": args.instruments});
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("write to standard output: {error}")))
}

impl FromStr for SnapshotFaultArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "wanted none, silent, drop=0..1, stale, partial, mixed, garbage or truncated";
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let (fault, damage) = match (name, value) {
            ("none", "") => (SnapshotFault::None, Damage::None),
            ("silent", "") => (SnapshotFault::Silent, Damage::None),
            ("stale", "") => (SnapshotFault::Stale, Damage::None),
            ("partial", "") => (SnapshotFault::Partial, Damage::None),
            ("mixed", "") => (SnapshotFault::Mixed, Damage::None),
            ("garbage", "") => (SnapshotFault::None, Damage::Garbage),
            ("truncated", "") => (SnapshotFault::None, Damage::Truncated),
            ("drop", share) => match share.parse() {
                Ok(probability) if (0.0..=1.0).contains(&probability) => {
                    (SnapshotFault::Drop { probability }, Damage::None)
                }
                _ => return Err(format!("{share:?} is no probability; {wanted}")),
            },
            _ => return Err(format!("there is no snapshot fault {text:?}; {wanted}")),
        };
        Ok(Self { fault, damage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves that each fault is known by its name and that a mistake says what is wanted.
    #[test]
    fn snapshot_faults_have_names() {
        let all = [
            "none",
            "silent",
            "stale",
            "partial",
            "mixed",
            "garbage",
            "truncated",
            "drop=0.5",
        ];
        for text in all {
            assert!(text.parse::<SnapshotFaultArg>().is_ok(), "{text}");
        }
        for text in ["drop", "drop=2", "stale=1", ""] {
            let error = text.parse::<SnapshotFaultArg>().expect_err("refused");
            assert!(error.contains("wanted none"), "{error}");
        }
    }
}
