//! Venues whose books are proved piece by piece: the judgement of `recovery` joined with `book`.
//!
//! | Type | Channel |
//! |---|---|
//! | [`EobiVenue`] | T7 EOBI: each product by its MsgSeqNum |
//! | [`CmeVenue`] | CME MDP 3.0: each book by price by its RptSeq, by order by the packet |
//!
//! Pure, as both of its parts: records in, books out.
#![forbid(unsafe_code)]

mod cme;
mod eobi;

pub use cme::CmeVenue;
pub use eobi::EobiVenue;
