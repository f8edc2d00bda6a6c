//! Wiring of `tickdeck-book`.
