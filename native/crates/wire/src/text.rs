//! Display of fixed-width text fields.

use std::fmt::{self, Write as _};

/// Writes a space-padded field without its padding; bytes outside printable ASCII as `\xNN`.
pub(crate) fn write_trimmed(f: &mut fmt::Formatter<'_>, field: &[u8]) -> fmt::Result {
    for &byte in field.trim_ascii_end() {
        if (0x20..0x7f).contains(&byte) {
            f.write_char(char::from(byte))?;
        } else {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// Right-pads `text` with spaces to `N` bytes; `None` when it is longer or not printable ASCII.
pub(crate) fn padded<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = text.as_bytes();
    if bytes.len() > N || !bytes.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        return None;
    }
    let mut field = [b' '; N];
    field[..bytes.len()].copy_from_slice(bytes);
    Some(field)
}
