//! What the lines speak: as told, or as the first packets show.

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
    /// What was told; the rest as the first datagrams show.
    pub(super) fn choose(
        choice: Option<Choice>,
        release: Option<Release>,
        arrivals: &Arrivals,
    ) -> Result<Self, String> {
        let heads: Vec<_> = arrivals.all().take(LOOKED_AT).collect();
        let heads: Vec<_> = heads.into_iter().map(|(_, bytes)| bytes).collect();
        let eobi = Self::Eobi(release.unwrap_or_else(|| release_of(&heads)));
        match choice {
            Some(Choice::Moldudp64) => Ok(Self::Moldudp64),
            Some(Choice::CmeMdp3) => Ok(Self::CmeMdp3),
            Some(Choice::Eobi) => Ok(eobi),
            None => Self::detect([Self::Moldudp64, Self::CmeMdp3, eobi], &heads),
        }
    }

    /// The one protocol that the first datagrams are packets of.
    fn detect(protocols: [Self; 3], heads: &[&[u8]]) -> Result<Self, String> {
        let fits = |protocol: &Self| heads.iter().any(|bytes| protocol.is_packet(bytes));
        let fitting: Vec<_> = protocols.into_iter().filter(fits).collect();
        let names = |all: &[Self]| {
            let names: Vec<_> = all.iter().map(Self::to_string).collect();
            names.join(", ")
        };
        match fitting.as_slice() {
            [one] => Ok(*one),
            [] => Err(format!(
                "the first datagrams are no packets of {}; give --protocol, and of eobi \
                 --eobi-release, when you know better",
                names(&protocols)
            )),
            some => Err(format!(
                "the first datagrams may be packets of {}; say which with --protocol",
                names(some)
            )),
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

/// The release that most of the datagrams fit; the newer one when they do not tell.
fn release_of(heads: &[&[u8]]) -> Release {
    let fitting = |release: Release| {
        let fits = |bytes: &&&[u8]| Protocol::Eobi(release).is_packet(bytes);
        heads.iter().filter(fits).count()
    };
    if fitting(Release::V6_0) > fitting(Release::V14_1) {
        Release::V6_0
    } else {
        Release::V14_1
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
