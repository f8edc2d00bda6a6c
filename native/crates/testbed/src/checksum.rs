//! The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit
//! words; an odd last byte counts as the high half of a word.

/// Checksum over several pieces; every piece but the last has an even length.
pub(crate) fn internet(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for word in pieces.iter().flat_map(|piece| piece.chunks(2)) {
        let low = word.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([word[0], low]));
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::internet;

    /// The example of RFC 1071, section 3: the sum of these bytes is ddf2.
    #[test]
    fn example_of_the_rfc() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(internet(&[&bytes]), !0xddf2);
        assert_eq!(internet(&[&bytes[..2], &bytes[2..]]), !0xddf2);
        assert_eq!(internet(&[&[0xAB]]), !0xAB00);
    }
}
