//! `tickdeck-journal`.

fn main() {}
