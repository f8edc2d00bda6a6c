//! Many packets by one system call (sendmmsg), without allocation.

use std::io::IoSlice;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

use crate::error::NetError;

/// Most packets of one system call; more are sent by several.
pub(crate) const CALL_PACKETS_MAX: usize = 64;

/// Sends all packets in order; returns how often the kernel had no room and was asked again.
///
/// No room is what a full queue of the device says (ENOBUFS), which nothing can be polled for: the
/// thread sleeps a little between the attempts.
pub(crate) fn send_all(socket: &impl AsFd, packets: &[&[u8]]) -> Result<u64, NetError> {
    let mut retries = 0;
    for packets in packets.chunks(CALL_PACKETS_MAX) {
        let mut sent = 0;
        let mut deadline = None;
        while sent < packets.len() {
            match send_some(socket, &packets[sent..]) {
                Ok(count) => {
                    sent += count;
                    deadline = None;
                }
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS | Errno::AGAIN) if !is_over(&mut deadline) => {
                    retries += 1;
                    thread::sleep(RETRY_PAUSE);
                }
                Err(error) => return Err(NetError::io("send packets", error)),
            }
        }
    }
    Ok(retries)
}

/// Pause before the kernel is asked again.
const RETRY_PAUSE: Duration = Duration::from_micros(50);
/// How long a queue may stay full.
const FULL_LIMIT: Duration = Duration::from_secs(1);

/// Whether the wait that the first call began is over.
fn is_over(deadline: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    now >= *deadline.get_or_insert(now + FULL_LIMIT)
}

/// One call, at most [`CALL_PACKETS_MAX`] packets.
fn send_some(socket: &impl AsFd, packets: &[&[u8]]) -> Result<usize, Errno> {
    let slices: [[IoSlice<'_>; 1]; CALL_PACKETS_MAX] =
        std::array::from_fn(|index| [IoSlice::new(packets.get(index).unwrap_or(&&[][..]))]);
    let mut controls: [SendAncillaryBuffer<'_, '_, '_>; CALL_PACKETS_MAX] =
        std::array::from_fn(|_| SendAncillaryBuffer::default());
    let mut controls = controls.iter_mut();
    let mut headers: [MMsgHdr<'_>; CALL_PACKETS_MAX] = std::array::from_fn(|index| {
        let control = controls.next().expect("as many buffers as headers");
        MMsgHdr::new(&slices[index], control)
    });
    sendmmsg(socket, &mut headers[..packets.len()], SendFlags::empty())
}
