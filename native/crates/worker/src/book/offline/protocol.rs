//! What the offline tools must know of a protocol beside its books.

use clap::ValueEnum;
use tickdeck_wire::itch50;

use crate::book::venue::VenueKind;

/// Formats that books can be built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    /// TotalView-ITCH 5.0.
    Itch50,
}

impl Protocol {
    /// Whose books they are.
    pub(super) fn venue(self) -> VenueKind {
        match self {
            Self::Itch50 => VenueKind::Itch50,
        }
    }

    /// Whether each message has a sequence number; else each packet has.
    pub(super) fn numbers_messages(self) -> bool {
        match self {
            Self::Itch50 => true,
        }
    }

    /// Whether messages carry the time of the venue's day.
    pub(super) fn has_day_time(self) -> bool {
        match self {
            Self::Itch50 => true,
        }
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
        }
    }

    /// The type of a message and what it is called.
    pub(super) fn describe(self, message: &[u8]) -> (String, &'static str) {
        match self {
            Self::Itch50 => {
                let kind = message.first().copied().unwrap_or(b'?');
                (kind.escape_ascii().to_string(), itch_name(kind))
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
        }
    }
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
