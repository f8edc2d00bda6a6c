//! Waking a thread that sleeps in the kernel.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::exit::Failure;

/// A descriptor that one thread waits for and another makes readable; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Wake(Arc<OwnedFd>);

impl Wake {
    pub(super) fn new() -> Result<Self, Failure> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let fd = eventfd(0, flags).map_err(|error| Failure::failed(format!("eventfd: {error}")))?;
        Ok(Self(Arc::new(fd)))
    }

    /// Makes the descriptor readable.
    pub(super) fn wake(&self) {
        match rustix::io::write(&self.0, &1_u64.to_ne_bytes()) {
            // The counter is at its limit, so the descriptor is readable anyway.
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => tracing::error!(%error, "eventfd write failed; the thread wakes late"),
        }
    }

    /// Makes it unreadable again; before the queue is looked at, so that no wake is lost.
    pub(super) fn clear(&self) {
        match rustix::io::read(&self.0, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => tracing::error!(%error, "eventfd read failed"),
        }
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
