//! `tickdeck-book`.

fn main() {}
