//! Channels of the venues that are proved piece by piece.

use tickdeck_book::{BooksConfig, Channel, Venue};
use tickdeck_venue::{CmeVenue, EobiVenue};
use tickdeck_wire::cme;
use tickdeck_wire::eobi::{self, Release};

use super::book_itch::SMALL;
use super::channel::{Protocol, follow};

/// Room for the orders of a short session.
const MEDIUM: BooksConfig = BooksConfig {
    max_orders: 64,
    ..SMALL
};

/// Records of a CME channel.
pub(crate) fn run_cme(bytes: &[u8]) {
    follow_cme(bytes);
}

/// The channel behind the last record.
pub fn follow_cme(records: &[u8]) -> Channel<impl Venue> {
    follow(records, &CME)
}

const CME: Protocol<CmeVenue> = Protocol {
    venue: || CmeVenue::new(SMALL),
    number: |packet| Some(cme::Packet::parse(packet).ok()?.sequence().into()),
    is_saved_whole: false,
};

/// Records of an EOBI channel; the first byte names the release.
pub(crate) fn run_eobi(bytes: &[u8]) {
    follow_eobi(bytes);
}

/// The channel behind the last record; `None` when there is no first byte.
pub fn follow_eobi(bytes: &[u8]) -> Option<Channel<impl Venue>> {
    let (release, records) = bytes.split_first()?;
    let protocol = [&EOBI_6_0, &EOBI_14_1][usize::from(release & 1)];
    Some(follow(records, protocol))
}

const EOBI_6_0: Protocol<EobiVenue> = eobi_of(
    || EobiVenue::new(Release::V6_0, MEDIUM),
    |packet| number_of(packet, Release::V6_0),
);

const EOBI_14_1: Protocol<EobiVenue> = eobi_of(
    || EobiVenue::new(Release::V14_1, MEDIUM),
    |packet| number_of(packet, Release::V14_1),
);

const fn eobi_of(
    venue: fn() -> EobiVenue,
    number: fn(&[u8]) -> Option<u64>,
) -> Protocol<EobiVenue> {
    Protocol {
        venue,
        number,
        is_saved_whole: false,
    }
}

fn number_of(packet: &[u8], release: Release) -> Option<u64> {
    let packet = eobi::Packet::parse(packet, release).ok()?;
    Some(packet.sequence().into())
}
