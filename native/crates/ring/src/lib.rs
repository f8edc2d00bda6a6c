//! Shared-memory broadcast ring.
