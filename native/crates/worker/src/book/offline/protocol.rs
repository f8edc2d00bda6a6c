//! What the offline tools must know of a protocol beside its books.

use clap::ValueEnum;
use tickdeck_wire::eobi::{self, Release};
use tickdeck_wire::{cme, itch50};

use crate::book::venue::VenueKind;
use crate::rx::Wire;

/// Formats that books can be built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// TotalView-ITCH 5.0.
    Itch50,
    /// CME MDP 3.0.
    #[value(name = "cme_mdp3")]
    CmeMdp3,
    /// T7 EOBI of release 14.1.
    #[value(name = "eobi")]
    Eobi,
    /// T7 EOBI of release 6.0.
    #[value(name = "eobi-6.0")]
    Eobi6,
}

impl Protocol {
    /// Whose books they are.
    pub(super) fn venue(self) -> VenueKind {
        match self {
            Self::Itch50 => VenueKind::Itch50,
            Self::CmeMdp3 => VenueKind::CmeMdp3,
            Self::Eobi => VenueKind::Eobi(Release::V14_1),
            Self::Eobi6 => VenueKind::Eobi(Release::V6_0),
        }
    }

    /// What makes books of this venue's messages.
    pub(super) fn of(venue: VenueKind) -> Self {
        match venue {
            VenueKind::Itch50 => Self::Itch50,
            VenueKind::CmeMdp3 => Self::CmeMdp3,
            VenueKind::Eobi(Release::V14_1) => Self::Eobi,
            VenueKind::Eobi(Release::V6_0) => Self::Eobi6,
        }
    }

    /// What it is called in configurations.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Itch50 => "itch50",
            Self::CmeMdp3 => "cme_mdp3",
            Self::Eobi => "eobi",
            Self::Eobi6 => "eobi-6.0",
        }
    }

    /// How the packets of a capture are merged, where packets are numbered; `None` where messages
    /// are.
    pub(super) fn packets(self) -> Option<Wire> {
        match self {
            Self::Itch50 => None,
            Self::CmeMdp3 => Some(Wire::CmeMdp3),
            Self::Eobi => Some(Wire::Eobi(Release::V14_1)),
            Self::Eobi6 => Some(Wire::Eobi(Release::V6_0)),
        }
    }

    /// Whether each message has a sequence number; else each packet has.
    pub(super) fn numbers_messages(self) -> bool {
        self == Self::Itch50
    }

    /// Whether messages carry the time of the venue's day.
    pub(super) fn has_day_time(self) -> bool {
        self == Self::Itch50
    }

    /// The time of day that a message carries, ns since midnight at the venue.
    #[inline]
    pub(super) fn day_time_ns(self, message: &[u8]) -> Option<u64> {
        match self {
            // Every type has it in the same place, so unknown ones have it too.
            Self::Itch50 => {
                let bytes: &[u8; 6] = message.get(5..11)?.try_into().ok()?;
                let [a, b, c, d, e, f] = *bytes;
                Some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
            }
            Self::CmeMdp3 | Self::Eobi | Self::Eobi6 => None,
        }
    }

    /// The type of a message and what it is called.
    pub(super) fn describe(self, message: &[u8]) -> (String, &'static str) {
        match self {
            Self::Itch50 => {
                let kind = message.first().copied().unwrap_or(b'?');
                (kind.escape_ascii().to_string(), itch_name(kind))
            }
            Self::CmeMdp3 => {
                let template_id = cme_template(message).unwrap_or(0);
                let layout = cme::layout::layout_of(template_id);
                let name = layout.map_or("unknown", |layout| layout.name);
                (template_id.to_string(), name)
            }
            Self::Eobi | Self::Eobi6 => {
                let template_id = eobi::Message::read(message).map_or(0, |it| it.template_id());
                let layout = self.eobi_release().layout(template_id);
                let name = layout.map_or("unknown", |layout| layout.name);
                (template_id.to_string(), name)
            }
        }
    }

    /// The venue's number of the instrument that a message is about.
    #[inline]
    pub(super) fn instrument(self, message: &[u8]) -> Option<i64> {
        match self {
            Self::Itch50 => {
                let locate: &[u8; 2] = message.get(1..3)?.try_into().ok()?;
                Some(i64::from(u16::from_be_bytes(*locate))).filter(|locate| *locate != 0)
            }
            Self::CmeMdp3 => cme_instrument(message),
            Self::Eobi | Self::Eobi6 => {
                let content = eobi::Message::read(message)?.content(self.eobi_release());
                content.ok()?.security_id()
            }
        }
    }

    /// The release by which EOBI messages are read.
    fn eobi_release(self) -> Release {
        match self {
            Self::Eobi6 => Release::V6_0,
            _ => Release::V14_1,
        }
    }
}

fn cme_template(message: &[u8]) -> Option<u16> {
    let bytes: &[u8; 2] = message.get(4..6)?.try_into().ok()?;
    Some(u16::from_le_bytes(*bytes))
}

/// The instrument of the message's first entry.
fn cme_instrument(message: &[u8]) -> Option<i64> {
    let message = cme::Message::read(message)?;
    let by_price = message.rpt_seqs().ok()?.next();
    let by_order = || message.order_updates().ok()?.next();
    let id = match by_price {
        Some(update) => update.security_id,
        None => by_order()?.security_id,
    };
    Some(i64::from(id))
}

fn itch_name(kind: u8) -> &'static str {
    match itch50::length_of(kind).map(|_| kind) {
        Some(b'S') => "system event",
        Some(b'R') => "stock directory",
        Some(b'H') => "trading action",
        Some(b'A') => "add order",
        Some(b'F') => "add order with attribution",
        Some(b'E') => "order executed",
        Some(b'C') => "order executed with price",
        Some(b'X') => "order cancel",
        Some(b'D') => "order delete",
        Some(b'U') => "order replace",
        Some(b'P') => "trade",
        Some(b'Q') => "cross trade",
        Some(b'B') => "broken trade",
        Some(b'I') => "imbalance",
        Some(_) => "other",
        None => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal's venue leads back to the option that reads it: a release is not mistaken.
    #[test]
    fn each_venue_has_its_option() {
        for protocol in Protocol::value_variants() {
            assert_eq!(Protocol::of(protocol.venue()), *protocol);
            let value = protocol.to_possible_value().expect("none is hidden");
            assert_eq!(value.get_name(), protocol.name());
        }
    }
}
