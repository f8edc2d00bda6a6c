//! What the lines speak: as told, or as the first packets show.

use std::collections::BTreeMap;
use std::fmt;

use clap::ValueEnum;
use tickdeck_arbiter::Framing;
use tickdeck_wire::eobi::Release;
use tickdeck_wire::{cme, eobi, moldudp64};

use super::arrivals::Arrivals;

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

/// A protocol with what it takes to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Moldudp64,
    CmeMdp3,
    Eobi(Release),
}

impl Protocol {
    pub(super) fn new(choice: Choice, release: Release) -> Self {
        match choice {
            Choice::Moldudp64 => Self::Moldudp64,
            Choice::CmeMdp3 => Self::CmeMdp3,
            Choice::Eobi => Self::Eobi(release),
        }
    }

    /// The one protocol that the first datagrams are packets of.
    pub(super) fn detect(arrivals: &Arrivals, release: Release) -> Result<Self, String> {
        let mut votes = BTreeMap::new();
        for (_, bytes) in arrivals.all().take(LOOKED_AT) {
            for (index, protocol) in Self::all(release).into_iter().enumerate() {
                if protocol.is_packet(bytes) {
                    *votes.entry(index).or_insert(0) += 1;
                }
            }
        }
        let votes: Vec<_> = votes.into_iter().collect();
        match votes.as_slice() {
            [(index, _)] => Ok(Self::all(release)[*index]),
            [] => Err(format!(
                "the first datagrams are no packets of moldudp64, cme_mdp3 or eobi {release}; give \
                 --protocol, and for eobi --eobi-release"
            )),
            some => {
                let all = Self::all(release);
                let names: Vec<_> = some
                    .iter()
                    .map(|(index, _)| all[*index].to_string())
                    .collect();
                Err(format!(
                    "the first datagrams may be packets of {}; say which with --protocol",
                    names.join(" or ")
                ))
            }
        }
    }

    /// Reads a channel's packets.
    pub(super) fn framing(self) -> Framing {
        match self {
            Self::Moldudp64 => Framing::moldudp64(),
            Self::CmeMdp3 => Framing::cme_mdp3(),
            Self::Eobi(release) => Framing::eobi(release),
        }
    }

    fn all(release: Release) -> [Self; 3] {
        [Self::Moldudp64, Self::CmeMdp3, Self::Eobi(release)]
    }

    fn is_packet(self, bytes: &[u8]) -> bool {
        match self {
            Self::Moldudp64 => moldudp64::Packet::parse(bytes).is_ok(),
            Self::CmeMdp3 => {
                let packet = cme::Packet::parse(bytes);
                packet.is_ok_and(|packet| packet.messages().next().is_some())
            }
            Self::Eobi(release) => eobi::Packet::parse(bytes, release).is_ok(),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moldudp64 => f.write_str("moldudp64"),
            Self::CmeMdp3 => f.write_str("cme_mdp3"),
            Self::Eobi(release) => write!(f, "eobi {release}"),
        }
    }
}
