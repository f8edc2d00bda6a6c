//! Wiring of `tickdeck-journal`.
