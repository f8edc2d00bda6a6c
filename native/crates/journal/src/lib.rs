//! Segmented write-ahead journal.
