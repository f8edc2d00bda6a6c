//! `tickdeck-rx`.

fn main() {}
