//! What the tests of the book share: messages as bytes, real files, a slow and obvious book.

pub(crate) mod data;
pub(crate) mod messages;
pub(crate) mod slow;
pub(crate) mod slow_eobi;
