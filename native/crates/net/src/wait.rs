use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::error::NetError;

/// Most descriptors that one wait takes.
pub const WAIT_CAPACITY: usize = 128;

/// Descriptors to wait for, without allocation.
pub struct WaitSet<'a> {
    descriptors: [Option<BorrowedFd<'a>>; WAIT_CAPACITY],
    count: usize,
}

impl Default for WaitSet<'_> {
    fn default() -> Self {
        Self {
            descriptors: [None; WAIT_CAPACITY],
            count: 0,
        }
    }
}

impl<'a> WaitSet<'a> {
    /// Adds a descriptor.
    ///
    /// # Errors
    ///
    /// The set holds [`WAIT_CAPACITY`] already.
    pub fn add(&mut self, descriptor: BorrowedFd<'a>) -> Result<(), NetError> {
        let Some(place) = self.descriptors.get_mut(self.count) else {
            return Err(too_many(self.count + 1));
        };
        *place = Some(descriptor);
        self.count += 1;
        Ok(())
    }

    /// As [`wait_readable`], for the descriptors of the set.
    ///
    /// # Errors
    ///
    /// Poll itself failed.
    pub fn wait(&self, timeout: Duration) -> Result<bool, NetError> {
        wait_for(|index| self.descriptors[index], self.count, timeout)
    }
}

/// Waits until one of the descriptors can be read, or for `timeout`. Returns whether one can: an
/// error that is pending on a socket counts, the receive call reports it. A signal ends the wait
/// early as if the time were over.
///
/// # Errors
///
/// More than [`WAIT_CAPACITY`] descriptors, or poll itself failed.
pub fn wait_readable(descriptors: &[BorrowedFd<'_>], timeout: Duration) -> Result<bool, NetError> {
    if descriptors.len() > WAIT_CAPACITY {
        return Err(too_many(descriptors.len()));
    }
    let at = |index: usize| descriptors.get(index).copied();
    wait_for(at, descriptors.len(), timeout)
}

fn wait_for<'a>(
    at: impl Fn(usize) -> Option<BorrowedFd<'a>>,
    count: usize,
    timeout: Duration,
) -> Result<bool, NetError> {
    let Some(first) = at(0).filter(|_| count > 0) else {
        std::thread::sleep(timeout);
        return Ok(false);
    };
    let mut polled: [PollFd<'_>; WAIT_CAPACITY] = std::array::from_fn(|index| {
        PollFd::from_borrowed_fd(at(index).unwrap_or(first), PollFlags::IN)
    });
    let timeout = Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(&mut polled[..count], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(NetError::io("wait for packets", error)),
    }
}

fn too_many(count: usize) -> NetError {
    NetError::config("descriptors", count, "at most 128 in one wait")
}
