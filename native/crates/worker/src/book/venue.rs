//! The venues whose books this worker makes, behind one type.

use tickdeck_book::{
    Books, BooksConfig, Cause, Channel, Crossing, Itch, Prefetch, Run, Taken, Venue,
};
use tickdeck_venue::{CmeVenue, EobiVenue};
use tickdeck_wire::eobi::Release;
use tickdeck_wire::record::SnapshotEvent;

#[cfg(test)]
mod real_cme;

/// A channel of any venue.
pub(crate) type BookChannel = Channel<AnyVenue>;

/// One of the venues.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each channel, and it is called for every message"
)]
pub(crate) enum AnyVenue {
    /// TotalView-ITCH 5.0.
    Itch(Itch<Near>),
    /// CME MDP 3.0.
    Cme(CmeVenue),
    /// T7 EOBI.
    Eobi(Box<EobiVenue>),
}

/// Asks the processor for memory ahead.
pub(crate) struct Near;

impl Prefetch for Near {
    const IS_ACTIVE: bool = true;

    #[inline(always)]
    fn read<T>(&self, target: &T) {
        tickdeck_net::prefetch_read(target);
    }
}

/// What a channel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VenueKind {
    /// TotalView-ITCH 5.0.
    Itch50,
    /// CME MDP 3.0.
    CmeMdp3,
    /// T7 EOBI of a release.
    Eobi(Release),
}

impl VenueKind {
    /// Whose books are made of a journal with this schema, see `rx/protocol.rs`.
    pub(crate) fn of_schema(schema_id: u32) -> Option<Self> {
        Some(match schema_id {
            1 => Self::Itch50,
            2 => Self::CmeMdp3,
            3 => Self::Eobi(Release::V6_0),
            4 => Self::Eobi(Release::V14_1),
            _ => return None,
        })
    }

    /// Empty books of this venue with the sizes of `config`, before record 1.
    pub(crate) fn channel(self, config: BooksConfig) -> BookChannel {
        Channel::with(self.venue(config))
    }

    /// A venue that has seen nothing.
    pub(crate) fn venue(self, config: BooksConfig) -> AnyVenue {
        match self {
            Self::Itch50 => AnyVenue::Itch(Itch::with_prefetch(config, Near)),
            Self::CmeMdp3 => AnyVenue::Cme(CmeVenue::new(config)),
            Self::Eobi(release) => AnyVenue::Eobi(Box::new(EobiVenue::new(release, config))),
        }
    }
}

/// Calls the same of whichever venue it is.
macro_rules! each {
    ($any:expr, $venue:ident => $call:expr) => {
        match $any {
            AnyVenue::Itch($venue) => $call,
            AnyVenue::Cme($venue) => $call,
            AnyVenue::Eobi($venue) => $call,
        }
    };
}

impl Venue for AnyVenue {
    #[inline]
    fn books(&self) -> &Books {
        each!(self, venue => venue.books())
    }

    #[inline]
    fn books_mut(&mut self) -> &mut Books {
        each!(self, venue => venue.books_mut())
    }

    #[inline]
    fn apply(&mut self, run: Run<'_>, after: impl FnMut(&Books, u64, &[u8])) -> Taken {
        each!(self, venue => venue.apply(run, after))
    }

    fn doubt_all(&mut self, since: u64, cause: Cause) {
        each!(self, venue => venue.doubt_all(since, cause));
    }

    fn clear(&mut self) {
        each!(self, venue => venue.clear());
    }

    fn begin_snapshot(&mut self, event: SnapshotEvent) -> Option<()> {
        each!(self, venue => venue.begin_snapshot(event))
    }

    fn take_snapshot(&mut self, payload: &[u8]) -> Option<()> {
        each!(self, venue => venue.take_snapshot(payload))
    }

    fn end_snapshot(&mut self, event: SnapshotEvent) -> Option<Option<u64>> {
        each!(self, venue => venue.end_snapshot(event))
    }

    fn leave_snapshot(&mut self) {
        each!(self, venue => venue.leave_snapshot());
    }

    fn is_loading(&self) -> bool {
        each!(self, venue => venue.is_loading())
    }

    fn channel_hash(&self) -> u64 {
        each!(self, venue => venue.channel_hash())
    }

    fn crossing(&self) -> Crossing {
        each!(self, venue => venue.crossing())
    }

    fn save(&self, out: &mut Vec<u8>) {
        each!(self, venue => venue.save(out));
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), &'static str> {
        each!(self, venue => venue.restore(saved))
    }
}
