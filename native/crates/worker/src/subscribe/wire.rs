//! Bytes between a channel and a session.

use std::io;

use tickdeck_export::subscriber::Session;
use tickdeck_net::clock::monotonic_ns;

use crate::export::channel::Channel;

/// Takes what the peer has sent, up to a chunk at a time; how much that was.
pub(super) fn read(
    channel: &mut Channel,
    session: &mut Session,
    chunk: &mut [u8],
) -> io::Result<usize> {
    match channel.read(chunk) {
        Ok(0) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the exporter closed it",
        )),
        Ok(length) => {
            session.on_bytes(&chunk[..length], monotonic_ns());
            Ok(length)
        }
        Err(error) if is_passing(&error) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Sends what the peer takes.
pub(super) fn write(channel: &mut Channel, out: &mut Vec<u8>) -> io::Result<()> {
    while !out.is_empty() {
        match channel.write(out) {
            Ok(length) => {
                out.drain(..length);
            }
            Err(error) if is_passing(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    channel.flush().map(|_| ())
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
