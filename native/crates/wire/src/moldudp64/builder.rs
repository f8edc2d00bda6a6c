//! Encoders of downstream packets.

use super::{BLOCK_LEN, END_OF_SESSION, HEADER_LEN, MAX_REQUEST_COUNT, Session, header};

/// Builds downstream packets in one reused buffer.
///
/// `begin`, `push` until it returns false, `finish`; then `begin` again.
#[derive(Clone, Debug)]
pub struct PacketBuilder {
    session: Session,
    max_bytes: usize,
    first_sequence: u64,
    count: u16,
    bytes: Vec<u8>,
}

impl PacketBuilder {
    /// A builder of packets of at most `max_bytes`, header included.
    ///
    /// # Panics
    /// When `max_bytes` cannot hold a header.
    pub fn new(session: Session, max_bytes: usize) -> Self {
        assert!(
            max_bytes >= HEADER_LEN,
            "a packet holds at least its header"
        );
        let mut bytes = Vec::with_capacity(max_bytes);
        bytes.resize(HEADER_LEN, 0);
        Self {
            session,
            max_bytes,
            first_sequence: 1,
            count: 0,
            bytes,
        }
    }

    /// Starts a packet whose first message has this sequence number; forgets the previous packet.
    pub fn begin(&mut self, first_sequence: u64) {
        debug_assert!(first_sequence >= 1, "sessions count from 1");
        self.first_sequence = first_sequence;
        self.count = 0;
        self.bytes.truncate(HEADER_LEN);
    }

    /// Appends a message. False, and nothing appended, when it does not fit any more.
    pub fn push(&mut self, message: &[u8]) -> bool {
        let Ok(length) = u16::try_from(message.len()) else {
            return false;
        };
        let size = self.bytes.len() + BLOCK_LEN + message.len();
        if size > self.max_bytes || self.count == MAX_REQUEST_COUNT {
            return false;
        }
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(message);
        self.count += 1;
        true
    }

    /// Messages appended since `begin`.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Sequence number given to `begin`.
    pub fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// The whole packet; with no message appended it is a heartbeat.
    pub fn finish(&mut self) -> &[u8] {
        let head = header(self.session, self.first_sequence, self.count);
        self.bytes[..HEADER_LEN].copy_from_slice(&head);
        &self.bytes
    }
}

/// A heartbeat: the next message will have sequence number `next`.
pub fn heartbeat(session: Session, next: u64) -> [u8; HEADER_LEN] {
    header(session, next, 0)
}

/// An end-of-session packet: the last message had sequence number `next - 1`.
pub fn end_of_session(session: Session, next: u64) -> [u8; HEADER_LEN] {
    header(session, next, END_OF_SESSION)
}
