//! The mapped stats file.
