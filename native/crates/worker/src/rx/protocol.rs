//! What the wire protocol of the lines decides: how packets are read, what a record of the journal
//! holds, and where an epoch goes on.

use tickdeck_arbiter::Framing;
use tickdeck_wire::moldudp64::{Session, count_blocks};
use tickdeck_wire::{cme, eobi};

use crate::spec::{EobiRelease, Exchange, Protocol};

/// The protocol of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    MoldUdp64,
    CmeMdp3,
    Eobi(eobi::Release),
}

impl Wire {
    pub(super) fn of(exchange: &Exchange) -> Self {
        match exchange.protocol {
            Protocol::Moldudp64 => Self::MoldUdp64,
            Protocol::CmeMdp3 => Self::CmeMdp3,
            Protocol::Eobi => Self::Eobi(match exchange.eobi_release {
                EobiRelease::V6_0 => eobi::Release::V6_0,
                EobiRelease::V14_1 => eobi::Release::V14_1,
            }),
        }
    }

    /// What the payloads of DATA records are, in a journal's header: 1 MoldUDP64 message blocks, 2
    /// whole CME packets, 3 and 4 whole EOBI packets of release 6.0 and 14.1.
    pub(super) fn schema_id(self) -> u32 {
        match self {
            Self::MoldUdp64 => 1,
            Self::CmeMdp3 => 2,
            Self::Eobi(eobi::Release::V6_0) => 3,
            Self::Eobi(eobi::Release::V14_1) => 4,
        }
    }

    /// Reads lines from the beginning.
    pub(super) fn framing(self) -> Framing {
        match self {
            Self::MoldUdp64 => Framing::moldudp64(),
            Self::CmeMdp3 => Framing::cme_mdp3(),
            Self::Eobi(release) => Framing::eobi(release),
        }
    }

    /// Reads lines on from where a journal ends: its session, and its last packet if it has one of
    /// that session.
    ///
    /// # Errors
    /// A session that is none of this protocol, or a packet that cannot be read.
    pub(super) fn continued(
        self,
        session: Session,
        last_packet: Option<&[u8]>,
    ) -> Result<Framing, String> {
        let (sequence, time_ns) = match (self, last_packet) {
            (Self::MoldUdp64, _) | (_, None) => (0, 0),
            (Self::CmeMdp3, Some(bytes)) => {
                let packet = cme::Packet::parse(bytes).map_err(|error| error.to_string())?;
                (u64::from(packet.sequence()), packet.sending_time_ns())
            }
            (Self::Eobi(release), Some(bytes)) => {
                let packet =
                    eobi::Packet::parse(bytes, release).map_err(|error| error.to_string())?;
                (u64::from(packet.sequence()), packet.transact_time_ns())
            }
        };
        self.framing()
            .resume(session, sequence, time_ns)
            .map_err(|error| error.to_string())
    }

    /// How many sequence numbers the payload of a DATA record takes; `None` when it is not whole.
    pub(super) fn count(self, payload: &[u8]) -> Option<u64> {
        match self {
            Self::MoldUdp64 => count_blocks(payload).map(|count| count as u64),
            Self::CmeMdp3 | Self::Eobi(_) => Some(1),
        }
    }
}
