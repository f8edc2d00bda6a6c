//! Little-endian numbers at a place of bytes that were checked to hold them.

/// The two bytes at `at`.
#[inline]
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(taken(bytes, at))
}

/// The four bytes at `at`.
#[inline]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(taken(bytes, at))
}

/// The four bytes at `at`, signed.
#[inline]
pub(super) fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(taken(bytes, at))
}

/// The eight bytes at `at`.
#[inline]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(taken(bytes, at))
}

/// The eight bytes at `at`, signed.
#[inline]
pub(super) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(taken(bytes, at))
}

/// The `N` bytes at `at`.
#[inline]
pub(super) fn taken<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}
