//! The filter of a socket that is held beside a packet ring.

use socket2::SockFilter;

/// Classic BPF on a UDP socket, which sees the datagram from its UDP header on: takes it whole when
/// its payload is longer than `payload_bytes`, else not at all.
pub(super) fn longer_than(payload_bytes: u32) -> [SockFilter; 4] {
    const LOAD_LENGTH: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_LEN;
    const JUMP_IF_GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let step = |code: u32, if_true, if_false, value| {
        SockFilter::new(code as u16, if_true, if_false, value)
    };
    [
        step(LOAD_LENGTH, 0, 0, 0),
        step(
            JUMP_IF_GREATER,
            0,
            1,
            payload_bytes.saturating_add(UDP_HEADER_BYTES),
        ),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ]
}

const UDP_HEADER_BYTES: u32 = 8;
