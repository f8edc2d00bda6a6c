//! What to ask again, and when.
#![forbid(unsafe_code)]
