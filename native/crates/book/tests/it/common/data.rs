//! The real order flow beside the checkout, if it is there.

use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use tickdeck_wire::binaryfile::{self, Messages};
use tickdeck_wire::itch50;

/// A file of the data folder, unpacked; `None`, with the reason printed, when it is not there.
pub(crate) fn read(name: &str) -> Option<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/itch50");
    let path = folder.join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    let packed = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if !name.ends_with(".gz") {
        return Some(packed);
    }
    let mut bytes = Vec::new();
    GzDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(bytes)
}

/// A JSON file of the data folder.
pub(crate) fn read_json(name: &str) -> Option<serde_json::Value> {
    read(name).map(|bytes| serde_json::from_slice(&bytes).expect("the expected books are JSON"))
}

/// The file with every stock field eight bytes wide, as the specification has it.
///
/// `goog_lobster.itch.gz` names its instrument with ten unpadded characters ("SampleFile"), which makes
/// R, H, A and P two bytes too long: by the rule for wrong lengths they are counted and skipped. Here
/// the name is cut to its first eight characters, so that the rest of the file can be judged. A file
/// with right lengths comes back unchanged.
pub(crate) fn with_eight_byte_stocks(file: &[u8]) -> Vec<u8> {
    let mut repaired = Vec::with_capacity(file.len());
    let mut changed = 0;
    for message in Messages::new(file) {
        let mut message = message
            .expect("the file ends after its last message")
            .to_vec();
        let stock_at = match message.first() {
            Some(b'R' | b'H') => 11,
            Some(b'A' | b'P') => 24,
            _ => 0,
        };
        let excess = message.len() - itch50::length_of(message[0]).unwrap_or(message.len());
        if stock_at > 0 && excess == 2 {
            message.drain(stock_at + 8..stock_at + 10);
            changed += 1;
        }
        binaryfile::push(&mut repaired, &message).expect("messages are short");
    }
    if changed > 0 {
        eprintln!("note: the stock field of {changed} messages was cut from 10 to 8 bytes");
    }
    repaired
}
