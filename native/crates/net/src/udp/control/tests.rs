use proptest::prelude::*;

use super::Control;

/// Both messages as the kernel writes them, byte by byte: the times of slots 0 and 2, the counter,
/// the padding behind it.
#[test]
fn the_kernels_bytes_are_read() {
    #[rustfmt::skip]
    let mut bytes = vec![
        64, 0, 0, 0, 0, 0, 0, 0,  1, 0, 0, 0,  37, 0, 0, 0, // 16 + 48 bytes, SCM_TIMESTAMPING
        2, 0, 0, 0, 0, 0, 0, 0,   3, 0, 0, 0, 0, 0, 0, 0,   // kernel: 2 s 3 ns
        9, 0, 0, 0, 0, 0, 0, 0,   9, 0, 0, 0, 0, 0, 0, 0,   // never used
        1, 0, 0, 0, 0, 0, 0, 0,   4, 0, 0, 0, 0, 0, 0, 0,   // hardware: 1 s 4 ns
        20, 0, 0, 0, 0, 0, 0, 0,  1, 0, 0, 0,  40, 0, 0, 0, // 16 + 4 bytes, SO_RXQ_OVFL
        0x78, 0x56, 0x34, 0x12,   0, 0, 0, 0,
    ];
    let read = Control {
        kernel_ns: Some(2_000_000_003),
        hardware_ns: Some(1_000_000_004),
        drops: Some(0x1234_5678),
    };
    assert_eq!(Control::parse(&bytes), read);
    bytes.truncate(bytes.len() - 4);
    assert_eq!(
        Control::parse(&bytes),
        read,
        "the last padding is not needed"
    );
}

/// What a packet does not have is absent: a slot of zeros is no time, as veth leaves slot 2; no
/// message is no counter; a zero counter is one.
#[test]
fn what_is_not_there_is_absent() {
    assert_eq!(Control::parse(&[]), Control::default());
    let only_kernel = Control {
        kernel_ns: Some(7),
        ..Control::default()
    };
    assert_eq!(
        Control::parse(&times([(0, 7), (0, 0), (0, 0)])),
        only_kernel
    );
    let none = times([(0, 0), (5, 5), (0, 0)]);
    assert_eq!(Control::parse(&none), Control::default());
    let drops = Some(0);
    let counter = message(1, 40, &0u32.to_ne_bytes());
    let only_drops = Control {
        drops,
        ..Control::default()
    };
    assert_eq!(Control::parse(&counter), only_drops);
}

/// A time that no clock shows is no time: before 1970, a second of too many nanoseconds, a year
/// that 64 bits cannot hold.
#[test]
fn an_impossible_time_is_none() {
    for slot in [(-1, 5), (1, 1_000_000_000), (1, -1), (i64::MAX, 0)] {
        let control = Control::parse(&times([slot, (0, 0), slot]));
        assert_eq!(control, Control::default(), "{slot:?}");
    }
}

/// A message that is cut short, or claims to be shorter than its header or longer than the buffer,
/// ends the reading; what came before it counts.
#[test]
fn a_lying_length_ends_the_reading() {
    let counter = message(1, 40, &5u32.to_ne_bytes());
    for lie in [0u64, 15, 41, u64::MAX] {
        let mut bytes = counter.clone();
        bytes.extend(times([(1, 0), (0, 0), (1, 0)]));
        bytes[24..32].copy_from_slice(&lie.to_ne_bytes());
        if lie == 41 {
            bytes.truncate(24 + 40);
        }
        let read = Control::parse(&bytes);
        assert_eq!((read.drops, read.kernel_ns), (Some(5), None), "{lie}");
    }
    assert_eq!(Control::parse(&counter[..19]).drops, None);
}

proptest! {
    /// Any row of messages, known and unknown, is read: the last of each known kind counts.
    #[test]
    fn any_row_of_messages_is_read(row in prop::collection::vec(any_message(), 0..8)) {
        let (mut bytes, mut expected) = (Vec::new(), Control::default());
        for each in row {
            match each {
                Any::Times(kernel, hardware) => {
                    bytes.extend(times([kernel, (0, 0), hardware]));
                    let ns = |(seconds, rest): (i64, i64)| {
                        Some((seconds * 1_000_000_000 + rest) as u64).filter(|ns| *ns != 0)
                    };
                    expected.kernel_ns = ns(kernel);
                    expected.hardware_ns = ns(hardware);
                }
                Any::Drops(drops) => {
                    bytes.extend(message(1, 40, &drops.to_ne_bytes()));
                    expected.drops = Some(drops);
                }
                Any::Other(level, kind, data) => bytes.extend(message(level, kind, &data)),
            }
        }
        prop_assert_eq!(Control::parse(&bytes), expected);
    }

    /// No bytes make it panic or run for ever.
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        Control::parse(&bytes);
    }
}

#[derive(Debug, Clone)]
enum Any {
    Times((i64, i64), (i64, i64)),
    Drops(u32),
    Other(i32, i32, Vec<u8>),
}

fn any_message() -> impl Strategy<Value = Any> {
    let time = || (0..9_000_000_000i64, 0..1_000_000_000i64);
    let data = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        (time(), time()).prop_map(|(kernel, hardware)| Any::Times(kernel, hardware)),
        any::<u32>().prop_map(Any::Drops),
        (2..9i32, any::<i32>(), data).prop_map(|(level, kind, data)| Any::Other(level, kind, data)),
    ]
}

fn times(slots: [(i64, i64); 3]) -> Vec<u8> {
    let numbers = slots.iter().flat_map(|(seconds, rest)| [seconds, rest]);
    let data: Vec<u8> = numbers.flat_map(|number| number.to_ne_bytes()).collect();
    message(1, 37, &data)
}

fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + data.len() as u64).to_ne_bytes().to_vec();
    bytes.extend(level.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}
