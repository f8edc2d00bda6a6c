//! From the bytes of a line to a unit of the merge, one way per protocol.
//!
//! | Protocol | Numbers | Session | Compared from |
//! |---|---|---|---|
//! | MoldUDP64 | per message | on the wire | all bytes |
//! | CME MDP3 | per packet, MsgSeqNum | epochs, told by SendingTime | all bytes |
//! | EOBI | per packet, ApplSeqNum | epochs, told by TransactTime or announced | behind the header: each line stamps its own |
//!
//! The packet view of the protocol is checked before anything is believed.

use thiserror::Error;
use tickdeck_wire::eobi::Release;
use tickdeck_wire::moldudp64::Session;
use tickdeck_wire::{cme, eobi, moldudp64};

use crate::epochs::{EpochCounters, Epochs};
use crate::unit::{Content, Unit};

/// Reads the packets of one channel.
#[derive(Debug)]
pub struct Framing {
    protocol: Protocol,
    epochs: Epochs,
}

/// A packet that is not for the merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("packet refused: {reason}")]
pub struct Refused {
    /// Why, as a stable snake_case word for metrics: what the protocol's parser says,
    /// `straggler`, or `unconfirmed_reset`.
    pub reason: &'static str,
}

/// A session that cannot be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("session {session} names no epoch; start without it")]
pub struct NoEpoch {
    session: Session,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    MoldUdp64,
    CmeMdp3,
    Eobi(Release),
}

/// What a packet of a protocol without session names says about its place.
struct Numbered {
    sequence: u64,
    time_ns: u64,
    announces_reset: bool,
    compare_from: usize,
}

impl Framing {
    /// MoldUDP64 1.00.
    pub fn moldudp64() -> Self {
        Self::of(Protocol::MoldUdp64)
    }

    /// CME MDP 3.0, one channel.
    pub fn cme_mdp3() -> Self {
        Self::of(Protocol::CmeMdp3)
    }

    /// EOBI, one channel.
    pub fn eobi(release: Release) -> Self {
        Self::of(Protocol::Eobi(release))
    }

    /// Continues the epoch of an earlier run, which had merged packets up to `last_sequence`, sent
    /// at `last_time_ns`. A protocol that names its sessions has nothing to continue.
    ///
    /// # Errors
    /// [`NoEpoch`] when `session` is the name of none.
    pub fn resume(
        self,
        session: Session,
        last_sequence: u64,
        last_time_ns: u64,
    ) -> Result<Self, NoEpoch> {
        if self.protocol == Protocol::MoldUdp64 {
            return Ok(self);
        }
        let epochs = Epochs::resume(session, last_sequence, last_time_ns);
        let epochs = epochs.ok_or(NoEpoch { session })?;
        Ok(Self { epochs, ..self })
    }

    /// A packet of a line, from 0 up to, not including, [`crate::MAX_LINES`]; `now_ns` is
    /// monotonic time.
    ///
    /// # Errors
    /// [`Refused`] when the bytes are no packet, or are not of the current epoch.
    ///
    /// # Panics
    /// When the line is out of range.
    #[inline]
    pub fn frame<'a>(
        &mut self,
        line: u8,
        bytes: &'a [u8],
        now_ns: u64,
    ) -> Result<Unit<'a>, Refused> {
        if self.protocol == Protocol::MoldUdp64 {
            return moldudp64_unit(bytes);
        }
        let packet = self.numbered(bytes)?;
        self.epochs
            .judge(
                line,
                packet.sequence,
                packet.time_ns,
                packet.announces_reset,
                now_ns,
            )
            .map_err(|reason| Refused { reason })?;
        self.unit(bytes, &packet)
    }

    /// A packet that a source of answers brought. It decides nothing about epochs.
    ///
    /// # Errors
    /// [`Refused`] when the bytes are no packet, or are of another epoch.
    pub fn frame_answer<'a>(&mut self, bytes: &'a [u8]) -> Result<Unit<'a>, Refused> {
        if self.protocol == Protocol::MoldUdp64 {
            return moldudp64_unit(bytes);
        }
        let packet = self.numbered(bytes)?;
        self.epochs
            .judge_answer(packet.sequence, packet.time_ns)
            .map_err(|reason| Refused { reason })?;
        self.unit(bytes, &packet)
    }

    /// What epochs were told apart by; all 0 for a protocol that names its sessions.
    pub fn epochs(&self) -> &EpochCounters {
        self.epochs.counters()
    }

    fn of(protocol: Protocol) -> Self {
        Self {
            protocol,
            epochs: Epochs::new(),
        }
    }

    fn numbered(&self, bytes: &[u8]) -> Result<Numbered, Refused> {
        match self.protocol {
            Protocol::Eobi(release) => {
                let packet = eobi::Packet::parse(bytes, release).map_err(|error| Refused {
                    reason: error.reason(),
                })?;
                Ok(Numbered {
                    sequence: u64::from(packet.sequence()),
                    time_ns: packet.transact_time_ns(),
                    announces_reset: packet.resets(),
                    compare_from: eobi::HEADER_LEN,
                })
            }
            Protocol::CmeMdp3 | Protocol::MoldUdp64 => {
                let packet = cme::Packet::parse(bytes).map_err(|error| Refused {
                    reason: error.reason(),
                })?;
                Ok(Numbered {
                    sequence: u64::from(packet.sequence()),
                    time_ns: packet.sending_time_ns(),
                    announces_reset: false,
                    compare_from: 0,
                })
            }
        }
    }

    fn unit<'a>(&self, packet: &'a [u8], numbered: &Numbered) -> Result<Unit<'a>, Refused> {
        let session = self.epochs.session().ok_or(Refused {
            reason: crate::epochs::STRAGGLER,
        })?;
        let content = Content::Whole {
            packet,
            compare_from: numbered.compare_from,
        };
        Ok(Unit {
            session,
            first_sequence: numbered.sequence,
            content,
            reset: self.epochs.reset(),
        })
    }
}

fn moldudp64_unit(bytes: &[u8]) -> Result<Unit<'_>, Refused> {
    match moldudp64::Packet::parse(bytes) {
        Ok(packet) => Ok(packet.into()),
        Err(error) => Err(Refused {
            reason: error.reason(),
        }),
    }
}
