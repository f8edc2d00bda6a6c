//! The venues of the book worker, which are private there: their sources are compiled here again.

#[allow(dead_code, reason = "the worker uses more of them than the targets do")]
#[path = "../../../worker/src/book/venue"]
mod sources {
    pub(super) mod cme;
}

use tickdeck_wire::cme;

use super::book_itch::SMALL;
use super::channel::{Protocol, follow};
use sources::cme::CmeVenue;

/// Records of a CME channel.
pub(crate) fn run_cme(bytes: &[u8]) {
    follow(
        bytes,
        &Protocol {
            venue: || CmeVenue::new(SMALL),
            number: |packet| Some(cme::Packet::parse(packet).ok()?.sequence().into()),
            is_saved_whole: false,
        },
    );
}
