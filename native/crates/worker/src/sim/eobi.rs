//! `play-eobi`: a generated EOBI channel on multicast lines, at its own times.

use std::io::Write as _;

use serde_json::json;
use tickdeck_net::clock::{monotonic_ns, realtime_ns};
use tickdeck_sim::Damage;
use tickdeck_sim::eobi::{Channel, Session, SnapshotFault};
use tickdeck_wire::eobi::TECHNICAL_HEARTBEAT;

use super::channel_player::{ChannelPlayer, Route};
use crate::exit::{Code, Failure};
use crate::lifecycle::StopFlag;

mod args;

pub(super) use args::PlayEobiArgs;

/// Plays the session to its end, or until stopped.
pub(super) fn play(args: &PlayEobiArgs) -> Result<Code, Failure> {
    let stop = StopFlag::on_signals()?;
    let mut player = ChannelPlayer::open(&args.outlets, args.seed)?;
    player.damage_snapshots(args.snapshot_fault.damage);
    announce(args)?;
    let mut session = Session::new(args.session(realtime_ns()));
    session.set_snapshot_fault(args.snapshot_fault.fault);
    let start_ns = monotonic_ns();
    let mut fault_ends_ns = args
        .snapshot_fault_ms
        .map(|ms| ms.saturating_mul(1_000_000));
    while let Some(timed) = session.next() {
        if fault_ends_ns.is_some_and(|ends_ns| timed.at_ns >= ends_ns) {
            session.set_snapshot_fault(SnapshotFault::None);
            player.damage_snapshots(Damage::None);
            fault_ends_ns = None;
        }
        if !player.wait(start_ns.saturating_add(timed.at_ns), &stop)? {
            return Ok(Code::Clean);
        }
        let route = match timed.channel {
            Channel::Snapshot => Route::Snapshot,
            Channel::Incremental if timed.bytes.starts_with(&TECHNICAL_HEARTBEAT) => {
                Route::Unnumbered
            }
            Channel::Incremental => Route::Line,
        };
        player.send(timed.line, route, timed.bytes)?;
    }
    player.finish(&stop)?;
    Ok(Code::Clean)
}

/// Tells whoever started this process that the lines are open: one JSON line.
fn announce(args: &PlayEobiArgs) -> Result<(), Failure> {
    let release = args.release.to_string();
    let line = json!({"ready": true, "release": release, "products": args.products});
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::failed(format!("write to standard output: {error}")))
}
