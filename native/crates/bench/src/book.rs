//! Decoding and the L3 book against a bare probe over the same file.

use std::path::Path;

use serde_json::{Value, json};
use tickdeck_book::{Books, BooksConfig, NoPrefetch, Prefetch, Side};
use tickdeck_net::prefetch_read;

use crate::Error;
use crate::anchors;
use crate::day::{Day, NOT_AS_ON_DISK, read_in_blocks};
use crate::machine::Machine;
use crate::memory::peak_of;
use crate::rounds::{Contender, Timed, compare, timed};

mod probe;

use probe::Probe;
pub(crate) use probe::split_message;

/// Bytes of a read of the quicker of the order books that are compared with.
const BLOCK_BYTES: usize = 1 << 20;

/// Nanoseconds per message of an ITCH 5.0 BinaryFILE, plain or gzip.
pub(crate) fn run(path: &Path, rounds: usize) -> Result<Value, Error> {
    let machine = Machine::before();
    let day = Day::read(path)?;
    let bytes = &day.bytes[..];
    // The first work of the process: memory that nothing else has used before.
    let (books, peak_bytes) = peak_of(|| {
        let mut books = Books::new(BooksConfig::default());
        apply(&mut books, bytes);
        books
    });
    let state = State::of(&books);
    let faults = books.counters().faults_total();
    let instruments = books.len();
    drop(books);
    let highest = probe::highest_reference(bytes);
    let is_probed = highest <= probe::MAX_REFERENCE;

    let mut contenders = Vec::new();
    if is_probed {
        contenders.push(Contender {
            name: "probe",
            is_baseline: true,
            run: Box::new(move || probe_in_memory(bytes, highest)),
        });
    }
    contenders.push(Contender {
        name: "decode and L3 book",
        is_baseline: !is_probed,
        run: Box::new(move || ours_in_memory(bytes, state, apply)),
    });
    contenders.push(Contender {
        name: "book, no look-ahead",
        is_baseline: false,
        run: Box::new(move || ours_in_memory(bytes, state, apply_plainly)),
    });
    if let Some(path) = day.on_disk() {
        if is_probed {
            contenders.push(Contender {
                name: "probe, file in the clock",
                is_baseline: true,
                run: Box::new(move || probe_with_file(path, highest)),
            });
        }
        contenders.push(Contender {
            name: "book, file in the clock",
            is_baseline: !is_probed,
            run: Box::new(move || ours_with_file(path, state)),
        });
    }
    let mut report = compare(&mut contenders, day.messages, rounds)?;
    let median = |name: &str| {
        let rows = report["results"].as_array().into_iter().flatten();
        let row = rows.into_iter().find(|row| row["name"] == name);
        row.map_or(Value::Null, |row| row["ns_per_item"]["median"].clone())
    };
    let anchors = anchors::beside(
        anchors::of_day(instruments, day.messages),
        &median("decode and L3 book"),
        &median("book, file in the clock"),
    );
    report["anchors"] = anchors;
    if !is_probed {
        report["skipped_probe"] = json!(format!(
            "no probe: its index takes references up to {}, the file has {highest}",
            probe::MAX_REFERENCE
        ));
    }
    if day.on_disk().is_none() {
        report["skipped_file"] = json!(NOT_AS_ON_DISK);
    }
    report["clock"] = json!(
        "messages only: file in memory, empty books made before; \"file in the \
                             clock\": opened and read from the page cache in blocks of 1 MiB as well"
    );
    report["state"] = json!({
        "books": instruments,
        "orders": state.orders,
        "levels": state.levels,
        "faults": faults,
        "state_hash": format!("{:016x}", state.hash),
        "highest_reference": highest,
    });
    report["peak_memory_bytes"] = peak_bytes;
    report["peak_memory"] = json!(
        "rise of the resident memory (VmHWM) over what it was with the input \
                                   loaded, books of the default configuration"
    );
    report["machine"] = machine.after();
    Ok(report)
}

/// What all contenders must end with; the hash is only compared among ours.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    orders: u64,
    levels: u64,
    hash: u64,
}

impl State {
    fn of(books: &Books) -> Self {
        let mut state = Self {
            orders: 0,
            levels: 0,
            hash: 0,
        };
        for book in books.iter() {
            state.orders += u64::from(book.orders());
            state.levels += Side::BOTH
                .map(|side| book.levels(side) as u64)
                .iter()
                .sum::<u64>();
            state.hash = state.hash.rotate_left(1) ^ book.state_hash();
        }
        state
    }
}

fn checksum(orders: u64, levels: u64) -> u64 {
    (orders << 32) | levels
}

fn probe_in_memory(bytes: &[u8], highest: u64) -> Timed {
    let mut probe = Probe::new(highest);
    let work = || {
        probe.apply(bytes);
        probe.counts()
    };
    timed(work, |(orders, levels)| checksum(orders, levels))
}

fn probe_with_file(path: &Path, highest: u64) -> Timed {
    let mut probe = Probe::new(highest);
    let work = || {
        read_in_blocks(path, BLOCK_BYTES, |piece| probe.apply(piece));
        probe.counts()
    };
    timed(work, |(orders, levels)| checksum(orders, levels))
}

fn ours_in_memory(bytes: &[u8], state: State, apply: fn(&mut Books, &[u8]) -> usize) -> Timed {
    let mut books = Books::new(BooksConfig::default());
    let run = timed(|| apply(&mut books, bytes), |_| 0);
    run.with_result(result_of(&books, state))
}

fn ours_with_file(path: &Path, state: State) -> Timed {
    let mut books = Books::new(BooksConfig::default());
    let work = || read_in_blocks(path, BLOCK_BYTES, |piece| apply(&mut books, piece));
    let run = timed(work, |()| 0);
    run.with_result(result_of(&books, state))
}

/// The checksum that the probe comes to, or another one when the orders are not those of the first
/// run.
fn result_of(books: &Books, state: State) -> u64 {
    let found = State::of(books);
    let differs = u64::from(found.hash != state.hash) << 63;
    checksum(found.orders, found.levels) | differs
}

fn apply(books: &mut Books, bytes: &[u8]) -> usize {
    let first = books.counters().messages + 1;
    books.apply_blocks(first, bytes, &Near).taken_bytes
}

fn apply_plainly(books: &mut Books, bytes: &[u8]) -> usize {
    let first = books.counters().messages + 1;
    books.apply_blocks(first, bytes, &NoPrefetch).taken_bytes
}

/// Asks the processor.
struct Near;

impl Prefetch for Near {
    const IS_ACTIVE: bool = true;

    #[inline(always)]
    fn read<T>(&self, target: &T) {
        prefetch_read(target);
    }
}
