//! What the snapshot channel of a venue brings, judged against the merged stream: EOBI by product,
//! CME MDP 3.0 by instrument.
//!
//! The machines of `tickdeck_recovery` do the judging; here their state is only asked for. What they
//! would apply is applied by readers of the stream, who run the same machines over it.

use tickdeck_recovery::{cme, eobi};
use tickdeck_wire::eobi::Release;
use tickdeck_wire::record::SnapshotEvent;
use tickdeck_wire::{cme as cme_wire, eobi as eobi_wire};

use crate::rx::protocol::Wire;

/// A whole product or instrument, for the stream.
pub(super) struct Whole {
    pub(super) scope: i64,
    pub(super) resume_sequence: u64,
    pub(super) orders: u64,
    pub(super) packets: Vec<Vec<u8>>,
}

/// The judge of one channel.
pub(super) enum Venue {
    Eobi {
        release: Release,
        collector: Box<eobi::Collector>,
        replayer: Box<eobi::Replayer>,
    },
    Cme {
        collector: Box<cme::Collector>,
        replayer: Box<cme::Replayer>,
    },
}

impl Venue {
    /// `None` for a protocol without a snapshot channel. `max_bytes` bounds what is kept.
    pub(super) fn of(wire: Wire, max_bytes: usize) -> Option<Self> {
        match wire {
            Wire::MoldUdp64 => None,
            Wire::Eobi(release) => Some(Self::Eobi {
                release,
                collector: Box::new(eobi::Collector::new(eobi::CollectorConfig {
                    max_bytes,
                    ..eobi::CollectorConfig::default()
                })),
                replayer: Box::new(eobi::Replayer::new(eobi::ReplayerConfig {
                    max_bytes,
                    ..eobi::ReplayerConfig::default()
                })),
            }),
            Wire::CmeMdp3 => Some(Self::Cme {
                collector: Box::new(cme::Collector::new(cme::CollectorConfig {
                    max_bytes,
                    ..cme::CollectorConfig::default()
                })),
                replayer: Box::new(cme::Replayer::new(cme::ReplayerConfig {
                    max_bytes,
                    ..cme::ReplayerConfig::default()
                })),
            }),
        }
    }

    pub(super) fn protocol(&self) -> &'static str {
        match self {
            Self::Eobi { .. } => "eobi",
            Self::Cme { .. } => "cme_mdp3",
        }
    }

    /// The next packet of the merged stream.
    pub(super) fn on_packet(&mut self, bytes: &[u8]) {
        match self {
            Self::Eobi {
                release, replayer, ..
            } => {
                if let Ok(packet) = eobi_wire::Packet::parse(bytes, *release) {
                    replayer.on_packet(&packet, &mut Nothing);
                }
            }
            Self::Cme { replayer, .. } => {
                if let Ok(packet) = cme_wire::Packet::parse(bytes) {
                    replayer.on_packet(&packet, &mut Nothing);
                }
            }
        }
    }

    /// The stream lost packets up to this number.
    pub(super) fn on_loss(&mut self, last: u64) {
        if let Self::Cme { collector, .. } = self {
            collector.not_before(u32::try_from(last).unwrap_or(u32::MAX));
        }
    }

    /// The numbers of the channel begin again.
    pub(super) fn restart(&mut self) {
        match self {
            // Its collector sees the restart of the snapshot channel itself.
            Self::Eobi { replayer, .. } => replayer.restart(&mut Nothing),
            Self::Cme {
                collector,
                replayer,
            } => {
                collector.restart();
                replayer.restart(&mut Nothing);
            }
        }
    }

    /// A datagram of the snapshot channel: what it makes whole, and whether that is needed, goes
    /// to `out`. False when it is no packet.
    pub(super) fn on_snapshot(&mut self, bytes: &[u8], mut out: impl FnMut(Whole)) -> bool {
        match self {
            Self::Eobi {
                release,
                collector,
                replayer,
            } => {
                let Ok(packet) = eobi_wire::Packet::parse(bytes, *release) else {
                    return false;
                };
                collector.on_packet(0, &packet, &mut |cycle: eobi::Cycle| {
                    if replayer.on_cycle(&cycle, &mut Nothing) {
                        out(Whole {
                            scope: i64::from(cycle.market_segment_id),
                            resume_sequence: u64::from(cycle.resume_sequence()),
                            orders: cycle.orders,
                            packets: cycle.packets,
                        });
                    }
                });
            }
            Self::Cme {
                collector,
                replayer,
            } => {
                let Ok(packet) = cme_wire::Packet::parse(bytes) else {
                    return false;
                };
                collector.on_packet(&packet, &mut |cycle: cme::Cycle| {
                    if replayer.on_cycle(&cycle, &mut Nothing) {
                        out(Whole {
                            scope: SnapshotEvent::instrument(
                                cycle.security_id,
                                cycle.book == cme::Book::Orders,
                            ),
                            resume_sequence: u64::from(cycle.last_msg_seq_num_processed) + 1,
                            orders: cycle.entries,
                            packets: cycle.packets,
                        });
                    }
                });
            }
        }
        true
    }

    /// Products or books that wait for a cycle.
    pub(super) fn suspects(&self) -> usize {
        match self {
            Self::Eobi { replayer, .. } => replayer.suspects().count(),
            Self::Cme { replayer, .. } => replayer.suspects().count(),
        }
    }

    /// Whether nothing can be missing of any product or instrument that is known: by EOBI each was
    /// heard since the last loss, by CME a whole loop came since.
    pub(super) fn is_proven(&self) -> bool {
        match self {
            Self::Eobi { replayer, .. } => {
                replayer.suspects().next().is_none() && replayer.unproven().next().is_none()
            }
            Self::Cme {
                collector,
                replayer,
            } => replayer.suspects().next().is_none() && collector.is_complete(),
        }
    }
}

/// Takes what readers of the stream apply.
struct Nothing;

impl eobi::Output for Nothing {
    fn reset(&mut self) {}
    fn load(&mut self, _: &eobi::Cycle) {}
    fn apply(&mut self, _: i32, _: &eobi_wire::Message<'_>) {}
    fn trust(&mut self, _: i32, _: eobi::Trust) {}
}

impl cme::Output for Nothing {
    fn reset(&mut self, _: u32) {}
    fn load(&mut self, _: &cme::Cycle) {}
    fn apply(&mut self, _: cme::Entry<'_>) {}
    fn trust(&mut self, _: i32, _: cme::Book, _: cme::Trust) {}
}
