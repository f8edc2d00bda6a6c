//! Decoding and the L3 book against a bare walk over the same file in memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use tickdeck_book::{Books, BooksConfig};
use tickdeck_wire::{binaryfile, itch50};

use crate::Error;
use crate::rounds::{Contender, compare};

/// Nanoseconds per message of an ITCH 5.0 BinaryFILE, plain or gzip, held in memory.
pub(crate) fn run(path: &Path, rounds: usize) -> Result<Value, Error> {
    let bytes = read(path).map_err(|source| Error::Input {
        path: path.to_owned(),
        source,
    })?;
    let bytes = binaryfile::conform(&bytes)?.bytes;
    let messages = walk(&bytes);
    let mut contenders = [
        Contender {
            name: "length walk",
            run: Box::new(|| walk(&bytes)),
        },
        Contender {
            name: "decode",
            run: Box::new(|| decode(&bytes)),
        },
        Contender {
            name: "decode and L3 book",
            run: Box::new(|| apply(&bytes)),
        },
    ];
    Ok(compare(&mut contenders, messages, rounds)?)
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?;
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes)?;
    } else {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    binaryfile::Messages::new(bytes).map_while(Result::ok)
}

fn walk(bytes: &[u8]) -> u64 {
    let mut count = 0;
    for message in messages(bytes) {
        std::hint::black_box(message);
        count += 1;
    }
    count
}

fn decode(bytes: &[u8]) -> u64 {
    messages(bytes)
        .map(itch50::parse)
        .filter(|parsed| std::hint::black_box(parsed).is_ok())
        .count() as u64
}

fn apply(bytes: &[u8]) -> u64 {
    let mut books = Books::new(BooksConfig::default());
    let mut count = 0;
    for message in messages(bytes) {
        books.apply(count + 1, message);
        count += 1;
    }
    std::hint::black_box(books.order_count());
    count
}
