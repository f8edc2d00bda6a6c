use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::NetError;

/// Most descriptors that one wait takes.
pub const WAIT_CAPACITY: usize = 16;

/// Waits until one of the descriptors can be read, or for `timeout`. Returns whether one can: an
/// error that is pending on a socket counts, the receive call reports it. A signal ends the wait
/// early as if the time were over.
///
/// # Errors
///
/// More than [`WAIT_CAPACITY`] descriptors, or poll itself failed.
pub fn wait_readable(descriptors: &[BorrowedFd<'_>], timeout: Duration) -> Result<bool, NetError> {
    let Some(first) = descriptors.first() else {
        std::thread::sleep(timeout);
        return Ok(false);
    };
    if descriptors.len() > WAIT_CAPACITY {
        return Err(NetError::config(
            "descriptors",
            descriptors.len(),
            "at most 16 in one wait",
        ));
    }
    let mut polled: [PollFd<'_>; WAIT_CAPACITY] = std::array::from_fn(|index| {
        PollFd::from_borrowed_fd(*descriptors.get(index).unwrap_or(first), PollFlags::IN)
    });
    let timeout = Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(&mut polled[..descriptors.len()], Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(NetError::io("wait for packets", error)),
    }
}
