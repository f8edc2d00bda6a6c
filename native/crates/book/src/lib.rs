//! L3 price-time books.
#![forbid(unsafe_code)]
