//! The real order flow beside the checkout, if it is there.

use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;

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
