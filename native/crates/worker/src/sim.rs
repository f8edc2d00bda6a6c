//! Wiring of `tickdeck-sim`.
