//! Wiring of `tickdeck-rx`.
