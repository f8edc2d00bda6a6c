//! Encoders of packets. Those with a message append to a buffer of the caller.

use thiserror::Error;

use super::{LENGTH_LEN, MAX_PACKET_LEN, RejectReason, kind};
use crate::moldudp64::Session;
use crate::stream::put_digits;

/// Bytes of a login packet.
pub const LOGIN_LEN: usize = LENGTH_LEN + 1 + 6 + 10 + 10 + 20;
/// Bytes of a login-accepted packet.
pub const ACCEPTED_LEN: usize = LENGTH_LEN + 1 + 10 + 20;

/// Heartbeat of the server.
pub const SERVER_HEARTBEAT: [u8; 3] = [0, 1, kind::SERVER_HEARTBEAT];
/// End of session.
pub const END_OF_SESSION: [u8; 3] = [0, 1, kind::END_OF_SESSION];
/// Heartbeat of the client.
pub const CLIENT_HEARTBEAT: [u8; 3] = [0, 1, kind::CLIENT_HEARTBEAT];
/// Logout.
pub const LOGOUT: [u8; 3] = [0, 1, kind::LOGOUT];

/// A message that no packet can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message of {length} bytes; a SoupBinTCP packet holds at most {}", MAX_PACKET_LEN - 1)]
pub struct MessageTooLong {
    length: usize,
}

/// Login accepted: the next sequenced message of `session` has number `sequence`.
pub fn accepted(session: Session, sequence: u64) -> [u8; ACCEPTED_LEN] {
    let mut out = [0; ACCEPTED_LEN];
    out[..LENGTH_LEN].copy_from_slice(&((ACCEPTED_LEN - LENGTH_LEN) as u16).to_be_bytes());
    out[2] = kind::ACCEPTED;
    out[3..13].copy_from_slice(&left_padded(session));
    let mut number = [0; 20];
    put_digits(sequence, &mut number);
    out[13..].copy_from_slice(&number);
    out
}

/// Login rejected.
pub fn rejected(reason: RejectReason) -> [u8; 4] {
    [0, 2, kind::REJECTED, reason as u8]
}

/// Appends a sequenced message.
///
/// # Errors
/// [`MessageTooLong`]; nothing was appended.
pub fn push_sequenced(out: &mut Vec<u8>, message: &[u8]) -> Result<(), MessageTooLong> {
    push(out, kind::SEQUENCED, message)
}

/// Appends a message without a number.
///
/// # Errors
/// [`MessageTooLong`]; nothing was appended.
pub fn push_unsequenced(out: &mut Vec<u8>, message: &[u8]) -> Result<(), MessageTooLong> {
    push(out, kind::UNSEQUENCED, message)
}

/// Appends a debug text.
///
/// # Errors
/// [`MessageTooLong`]; nothing was appended.
pub fn push_debug(out: &mut Vec<u8>, text: &[u8]) -> Result<(), MessageTooLong> {
    push(out, kind::DEBUG, text)
}

/// A session's name padded on the left, as SoupBinTCP wants it.
pub(super) fn left_padded(session: Session) -> [u8; 10] {
    let name = session.0.trim_ascii();
    let mut field = [b' '; 10];
    field[10 - name.len()..].copy_from_slice(name);
    field
}

fn push(out: &mut Vec<u8>, kind: u8, payload: &[u8]) -> Result<(), MessageTooLong> {
    let length = payload.len();
    let Ok(packet_len) = u16::try_from(length + 1) else {
        return Err(MessageTooLong { length });
    };
    out.extend_from_slice(&packet_len.to_be_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
    Ok(())
}
