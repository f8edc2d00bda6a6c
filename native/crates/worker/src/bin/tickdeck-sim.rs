//! `tickdeck-sim`.

fn main() {}
