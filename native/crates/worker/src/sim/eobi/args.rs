//! The command line of `tickdeck-sim play-eobi`.

use std::str::FromStr;

use clap::Args;
use tickdeck_sim::Damage;
use tickdeck_sim::eobi::{SessionConfig, SnapshotFault};
use tickdeck_wire::eobi::Release;

use super::super::channel_player::OutletArgs;

#[derive(Args, Debug)]
pub(in super::super) struct PlayEobiArgs {
    #[command(flatten)]
    pub(super) outlets: OutletArgs,
    /// Release of the interface: "14.1" or "6.0".
    #[arg(long, default_value = "14.1")]
    pub(super) release: Release,
    /// Products of the channel.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(super) products: u16,
    /// Instruments of each product.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=900))]
    pub(super) instruments: u16,
    /// Partition; line A sends first when it is even, line B when it is odd.
    #[arg(long, default_value_t = 1)]
    pub(super) partition: u8,
    /// Seed of the session, and of faults that name none.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Units of work per second; each is one to a few packets on each line, and as many
    /// snapshot packets.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) rate: u64,
    /// Units of work until the end; without it, go on until stopped.
    #[arg(long)]
    pub(super) steps: Option<u64>,
    /// Units of work for which the last product stays in its auction.
    #[arg(long, default_value_t = 400)]
    pub(super) auction_steps: u64,
    /// Restart the service before this unit of work: all numbers begin again.
    #[arg(long, value_name = "STEP")]
    pub(super) restart_at: Option<u64>,
    /// A product that was quiet for so long sends its heartbeat.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(super) heartbeat_ms: u64,
    /// What goes wrong on the snapshot channel from the start: silent, drop=PROBABILITY,
    /// wrong-orders, stale, partial, garbage or truncated.
    #[arg(long, value_name = "FAULT", default_value = "none")]
    pub(super) snapshot_fault: SnapshotFaultArg,
    /// For how long; without it, to the end.
    #[arg(long, value_name = "MS")]
    pub(super) snapshot_fault_ms: Option<u64>,
}

/// What is wrong with snapshots, by its name: with the cycle, or with its datagrams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SnapshotFaultArg {
    pub(super) fault: SnapshotFault,
    pub(super) damage: Damage,
}

impl PlayEobiArgs {
    /// The session that is played, begun at `start_ns`.
    pub(super) fn session(&self, start_ns: u64) -> SessionConfig {
        SessionConfig {
            seed: self.seed,
            release: self.release,
            products: self.products.into(),
            instruments: self.instruments.into(),
            partition_id: self.partition,
            step_ns: 1_000_000_000 / self.rate,
            steps: self.steps.unwrap_or(u64::MAX),
            auction_steps: self.auction_steps,
            restart_at: self.restart_at,
            heartbeat_ns: self.heartbeat_ms * 1_000_000,
            snapshot_messages: usize::MAX,
            start_ns,
        }
    }
}

impl FromStr for SnapshotFaultArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "wanted none, silent, drop=0..1, wrong-orders, stale, partial, garbage or \
                      truncated";
        let mut damage = Damage::None;
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let fault = match (name, value) {
            ("none", "") => SnapshotFault::None,
            ("silent", "") => SnapshotFault::Silent,
            ("wrong-orders", "") => SnapshotFault::WrongOrders,
            ("stale", "") => SnapshotFault::Stale,
            ("partial", "") => SnapshotFault::Partial,
            ("garbage", "") => {
                damage = Damage::Garbage;
                SnapshotFault::None
            }
            ("truncated", "") => {
                damage = Damage::Truncated;
                SnapshotFault::None
            }
            ("drop", share) => match share.parse() {
                Ok(probability) if (0.0..=1.0).contains(&probability) => {
                    SnapshotFault::Drop { probability }
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
        let drop = SnapshotFault::Drop { probability: 0.25 };
        for (text, fault) in [
            ("none", SnapshotFault::None),
            ("silent", SnapshotFault::Silent),
            ("drop=0.25", drop),
            ("wrong-orders", SnapshotFault::WrongOrders),
            ("stale", SnapshotFault::Stale),
            ("partial", SnapshotFault::Partial),
        ] {
            let damage = Damage::None;
            assert_eq!(text.parse(), Ok(SnapshotFaultArg { fault, damage }));
        }
        let garbage: SnapshotFaultArg = "garbage".parse().expect("known");
        assert_eq!(garbage.damage, Damage::Garbage);
        for text in ["drop", "drop=2", "drop=x", "stale=1", ""] {
            let error = text.parse::<SnapshotFaultArg>().expect_err("refused");
            assert!(error.contains("wanted none"), "{error}");
        }
    }
}
