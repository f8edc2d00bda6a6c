//! Little-endian numbers at an offset of a block that is long enough.

/// Reads `N` bytes at `offset`.
///
/// # Panics
/// When the block is shorter; callers have checked its length.
#[inline]
pub(super) fn bytes_at<const N: usize>(block: &[u8], offset: usize) -> [u8; N] {
    *block[offset..]
        .first_chunk()
        .expect("the block's length was checked")
}

#[inline]
pub(super) fn u16_at(block: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(bytes_at(block, offset))
}

#[inline]
pub(super) fn u32_at(block: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes_at(block, offset))
}

#[inline]
pub(super) fn i32_at(block: &[u8], offset: usize) -> i32 {
    i32::from_le_bytes(bytes_at(block, offset))
}

#[inline]
pub(super) fn u64_at(block: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes_at(block, offset))
}
