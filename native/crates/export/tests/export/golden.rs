//! The bytes of each message, written by hand: they never change within version 1.

use tickdeck_export::message::{MAC_LEN, without_mac};

use crate::support::{BLOCK, one_of_each};

/// A frame header with its CRC left out.
fn header(len: u32, kind: u8, seq: u64) -> Vec<u8> {
    let mut bytes = len.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[kind, 0, 0, 0]);
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes
}

fn payloads() -> Vec<(u64, Vec<u8>)> {
    let seven = &[7, 0, 0, 0, 0, 0, 0, 0][..];
    vec![
        (
            0,
            [
                &[1, 0, 1, 0, 2, 0, 0, 0],
                seven,
                &[0x11; 16],
                &[0x22; 32],
                b"\x0bXNAS-export",
            ]
            .concat(),
        ),
        (
            0,
            [
                &[1, 0, 0, 0][..],
                &[0x33; 32],
                b"\x09replica-1",
                &[0x44; 32],
            ]
            .concat(),
        ),
        (0, [&[0x55; 8][..], b"\x09replica-1", &[0x66; 32]].concat()),
        (
            1_000,
            [&[1, 1, 0, 0, 0, 0, 0x80, 0], seven, &[0x11; 16]].concat(),
        ),
        (
            1_000,
            [
                seven,
                &[1, 0, 0, 0, 0, 0, 0, 0],
                &[0xD1, 7, 0, 0, 0, 0, 0, 0],
                &[0xC6, 7, 0, 0, 0, 0, 0, 0],
                &[0, 0, 0x80, 0, 1, 0, 0, 0, 0xE8, 3, 0, 0, 0x88, 0x13, 0, 0],
            ]
            .concat(),
        ),
        (500, [&[1, 0, 0, 0][..], b"\x0doldest is 500"].concat()),
        (1_000, BLOCK.to_vec()),
        (
            1_010,
            [
                &[0xF4, 3, 0, 0, 0, 0, 0, 0, 0xF1, 3, 0, 0, 0, 0, 0, 0][..],
                &[0x00, 0x00, 0x2A, 0x36, 0xFE, 0x9C, 0x97, 0x17],
                seven,
            ]
            .concat(),
        ),
        (
            1_010,
            [&[0xFC, 3, 0, 0, 0, 0, 0, 0, 3][..], &[0; 7]].concat(),
        ),
        (1_009, Vec::new()),
        (1_010, [&[2, 0, 0, 0][..], b"\x03bye"].concat()),
    ]
}

/// Layouts of every type, with types numbered from 1 in the order of the protocol.
#[test]
fn bytes_are_these() {
    for ((message, (seq, payload)), kind) in one_of_each().iter().zip(payloads()).zip(1..) {
        let bytes = message.to_frame();
        let len = payload.len() as u32;
        assert_eq!(bytes[..16], header(len, kind, seq), "{message:?}");
        assert_eq!(bytes[20..], payload, "{message:?}");
    }
}

/// Whole frames with their checksums, for other implementations to compare with.
#[test]
fn checksums_are_these() {
    let crc = |at: usize| {
        let bytes = one_of_each()[at].to_frame();
        u32::from_le_bytes(bytes[16..20].try_into().expect("four bytes"))
    };
    let crcs: Vec<u32> = (0..11).map(crc).collect();
    assert_eq!(crcs, CRCS);
}

/// What the MAC covers is all before it.
#[test]
fn mac_is_last() {
    let messages = one_of_each();
    for at in [1, 2] {
        let payload = messages[at].payload();
        let signed = without_mac(&payload).expect("longer than a MAC");
        assert_eq!(payload.len() - signed.len(), MAC_LEN);
        assert!(signed.ends_with(b"replica-1"));
    }
    assert_eq!(without_mac(&[0; 31]), None);
}

/// Computed with a CRC32C written apart (Python, bit by bit).
const CRCS: [u32; 11] = [
    0x749B_9FC9,
    0x231D_B455,
    0xE1D9_6A9B,
    0x6960_2949,
    0x5857_D4F4,
    0x520C_8B65,
    0x2782_938C,
    0x88D5_F7EA,
    0x5252_DE00,
    0xF8BF_DCFF,
    0xC487_203F,
];
