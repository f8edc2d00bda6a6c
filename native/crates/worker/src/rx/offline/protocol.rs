//! What the lines speak: as told, or as the first packets show.

use std::cmp::Reverse;

use clap::ValueEnum;
use tickdeck_wire::eobi::Release;
use tickdeck_wire::{cme, eobi, moldudp64};

use super::arrivals::Arrivals;
use crate::rx::protocol::Wire;

/// Datagrams that are looked at to tell the protocol.
const LOOKED_AT: usize = 64;

/// Protocols by their name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Choice {
    /// MoldUDP64; numbers count messages.
    Moldudp64,
    /// CME MDP 3.0; numbers count packets.
    CmeMdp3,
    /// T7 EOBI; numbers count packets.
    Eobi,
}

/// What was told; the rest as the first datagrams show.
pub(super) fn choose(
    choice: Option<Choice>,
    release: Option<Release>,
    arrivals: &Arrivals,
) -> Result<Wire, String> {
    let heads: Vec<_> = arrivals.all().take(LOOKED_AT).collect();
    let heads: Vec<_> = heads.into_iter().map(|(_, bytes)| bytes).collect();
    let eobi = Wire::Eobi(release.unwrap_or_else(|| release_of(&heads)));
    match choice {
        Some(Choice::Moldudp64) => Ok(Wire::MoldUdp64),
        Some(Choice::CmeMdp3) => Ok(Wire::CmeMdp3),
        Some(Choice::Eobi) => Ok(eobi),
        None => tell([Wire::MoldUdp64, Wire::CmeMdp3, eobi], &heads),
    }
}

/// The protocol that most of the first datagrams are packets of.
fn tell(wires: [Wire; 3], heads: &[&[u8]]) -> Result<Wire, String> {
    let mut votes = wires.map(|wire| (fitting(wire, heads), wire));
    votes.sort_by_key(|(count, _)| Reverse(*count));
    match votes {
        [(0, _), ..] => Err(format!(
            "the first datagrams are no packets of {}, {} or {}; when you know better, say so with \
             --protocol, and of EOBI with --eobi-release",
            name(wires[0]),
            name(wires[1]),
            name(wires[2])
        )),
        [(first, one), (second, other), _] if first == second => Err(format!(
            "the first datagrams may be packets of {} or {}; say which with --protocol",
            name(one),
            name(other)
        )),
        [(_, wire), ..] => Ok(wire),
    }
}

fn fitting(wire: Wire, heads: &[&[u8]]) -> usize {
    heads.iter().filter(|bytes| is_packet(wire, bytes)).count()
}

fn is_packet(wire: Wire, bytes: &[u8]) -> bool {
    match wire {
        Wire::MoldUdp64 => moldudp64::Packet::parse(bytes).is_ok(),
        Wire::CmeMdp3 => {
            let packet = cme::Packet::parse(bytes);
            packet.is_ok_and(|packet| packet.messages().next().is_some())
        }
        Wire::Eobi(release) => eobi::Packet::parse(bytes, release).is_ok(),
    }
}

/// The release that most of the datagrams fit; the newer one when they do not tell.
fn release_of(heads: &[&[u8]]) -> Release {
    let of = |release| fitting(Wire::Eobi(release), heads);
    if of(Release::V6_0) > of(Release::V14_1) {
        Release::V6_0
    } else {
        Release::V14_1
    }
}

fn name(wire: Wire) -> String {
    match wire {
        Wire::MoldUdp64 => "moldudp64".to_owned(),
        Wire::CmeMdp3 => "cme_mdp3".to_owned(),
        Wire::Eobi(release) => format!("eobi {release}"),
    }
}
