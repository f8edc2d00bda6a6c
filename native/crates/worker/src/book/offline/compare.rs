//! The first event in which two inputs differ, and the books around it.
//!
//! An *event* is a message, or a record that changes books without one: a session, a loss, a part
//! of a snapshot. Gaps that were filled, notes and holes are not events; two hosts have them at
//! other places. How messages are packed into records does not matter either.
//!
//! 1. Both inputs are applied, side by side, and every so many events a *checkpoint* is kept: a
//!    digest over all events so far, and the hash of the books. The digests of equal beginnings are
//!    equal, and once different they stay different. With too many checkpoints every other one is
//!    dropped, so memory is bounded.
//! 2. Bisection over the checkpoints finds the interval with the first difference.
//! 3. Within it the digest of each event is compared.
//! 4. Both inputs are applied up to that event, to print the books before and behind it.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::thread;

use serde::Serialize;

use super::input::Input;
use super::walk::walk;
use super::{OfflineArgs, empty, on_stdout};
use crate::exit::{Code, Failure};

mod around;
mod events;
mod marks;

use around::{Around, Side};
use events::Event;
use marks::{Fine, Mark, Marks};

/// Events between two checkpoints, when nothing else was said.
pub(super) const STRIDE: u64 = 65_536;

/// Checkpoints kept of each input.
const KEPT: usize = 4_096;

/// What is printed.
#[derive(Serialize)]
struct Comparison {
    equal: bool,
    /// Events of each input; up to the difference both are alike.
    events: [u64; 2],
    messages: [u64; 2],
    /// Checkpoints compared, and how far the last equal one reaches.
    checkpoints: usize,
    equal_events: u64,
    /// Whether the books at the end are the same all the same.
    books_equal_at_end: bool,
    first_difference: Option<Difference>,
}

#[derive(Serialize)]
struct Difference {
    /// Number of the event, counted from 1.
    event: u64,
    /// `null` when the input ended before.
    a: Option<Event>,
    b: Option<Event>,
    books: Vec<around::BookAround>,
    /// Books by price that belong to `books` and are not printed.
    books_by_price_left_out: usize,
}

/// Compares the input with another one.
pub(super) fn run(args: &OfflineArgs, other: &Path) -> Result<Code, Failure> {
    let incomparable = |failure: Failure| Failure::new(Code::Incomparable, failure.message);
    let found = compare(args, [&args.input, other]).map_err(incomparable)?;
    // 1 says that the inputs differ; an answer that nobody gets says nothing of them.
    let printed = print(args, &found).map_err(on_stdout);
    printed.map_err(incomparable)?;
    Ok(if found.equal {
        Code::Clean
    } else {
        Code::Failed
    })
}

fn compare(args: &OfflineArgs, paths: [&Path; 2]) -> Result<Comparison, Failure> {
    let [a, b] = of_both(paths, |path| {
        let mut marks = Marks::new(args.stride, KEPT);
        pass(args, path, &mut marks)?;
        Ok(marks)
    })?;
    let (equal, checkpoints) = last_equal(&a, &b);
    let [end_a, end_b] = [a.end(), b.end()];
    let is_equal = end_a.digest == end_b.digest && end_a.events == end_b.events;
    let mut found = Comparison {
        equal: is_equal,
        events: [end_a.events, end_b.events],
        messages: [end_a.messages, end_b.messages],
        checkpoints,
        equal_events: if is_equal { end_a.events } else { equal.events },
        books_equal_at_end: end_a.books == end_b.books,
        first_difference: None,
    };
    if !is_equal {
        let until = equal.events + a.stride().max(b.stride());
        let event = first_difference(args, paths, equal.events, until)?;
        found.equal_events = event - 1;
        found.first_difference = Some(around(args, paths, event)?);
    }
    Ok(found)
}

/// The last checkpoint that both have alike, and how many could be compared.
fn last_equal(a: &Marks, b: &Marks) -> (Mark, usize) {
    let stride = a.stride().max(b.stride());
    let [a, b] = [a, b].map(|marks| {
        let common = marks.list().iter().filter(|mark| mark.events % stride == 0);
        common.copied().collect::<Vec<Mark>>()
    });
    let pairs: Vec<(Mark, Mark)> = a.into_iter().zip(b).collect();
    // Digests once different stay different: bisection is right.
    let equal = pairs.partition_point(|(a, b)| a == b);
    let last = equal
        .checked_sub(1)
        .map_or_else(Mark::default, |index| pairs[index].0);
    (last, pairs.len())
}

/// The number of the first event in `after + 1..=until` that differs.
fn first_difference(
    args: &OfflineArgs,
    paths: [&Path; 2],
    after: u64,
    until: u64,
) -> Result<u64, Failure> {
    let [a, b] = of_both(paths, |path| {
        let mut fine = Fine::new(after, until);
        pass(args, path, &mut fine)?;
        Ok(fine.digests())
    })?;
    let equal = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    Ok(after + equal as u64 + 1)
}

fn around(args: &OfflineArgs, paths: [&Path; 2], event: u64) -> Result<Difference, Failure> {
    let [a, b] = of_both(paths, |path| {
        let mut around = Around::new(args, event);
        pass(args, path, &mut around)?;
        Ok(around.finish())
    })?;
    let books = around::books(&a, &b);
    let books_by_price_left_out = around::by_price_left_out(&a, &b);
    Ok(Difference {
        event,
        a: a.event,
        b: b.event,
        books,
        books_by_price_left_out,
    })
}

/// Does the same with both inputs at the same time.
fn of_both<T: Send>(
    paths: [&Path; 2],
    pass: impl Fn(&Path) -> Result<T, Failure> + Sync,
) -> Result<[T; 2], Failure> {
    let [a, b] = paths;
    let (a, b) = thread::scope(|scope| {
        let other = scope.spawn(|| pass(b));
        let own = pass(a);
        let crashed = |_| {
            Err(Failure::failed(format!(
                "{}: the reader panicked",
                b.display()
            )))
        };
        (own, other.join().unwrap_or_else(crashed))
    });
    Ok([a?, b?])
}

/// Applies one input from its beginning, until the visitor has seen enough.
fn pass(
    args: &OfflineArgs,
    path: &Path,
    visitor: &mut impl events::Watcher,
) -> Result<(), Failure> {
    let mut input = Input::open(path, args)?;
    let mut channel = empty(args.protocol, &input);
    let mut counting = events::Counting::new(visitor);
    let walked = walk(&mut input, &mut channel, args.protocol, &mut counting);
    visitor.end(channel.books());
    match walked.problem {
        None => Ok(()),
        Some(problem) => Err(Failure::failed(format!("{}: {problem}", path.display()))),
    }
}

fn print(args: &OfflineArgs, found: &Comparison) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer(&mut out, found)?;
        writeln!(out)?;
        return out.flush();
    }
    let [events_a, events_b] = found.events;
    let Some(difference) = &found.first_difference else {
        writeln!(
            out,
            "equal: {events_a} events, {} messages",
            found.messages[0]
        )?;
        return out.flush();
    };
    let again = if found.books_equal_at_end {
        "the same"
    } else {
        "different"
    };
    writeln!(out, "different from event {} on", difference.event)?;
    writeln!(
        out,
        "{events_a} events in A, {events_b} in B; the books at the end are {again}"
    )?;
    for (side, event) in [("A", &difference.a), ("B", &difference.b)] {
        match event {
            Some(event) => writeln!(out, "{side}: {event}")?,
            None => writeln!(out, "{side}: has ended")?,
        }
    }
    for book in &difference.books {
        for (name, side) in [("A", &book.a), ("B", &book.b)] {
            print_side(&mut out, &format!("{} in {name}", book.symbol), side)?;
        }
    }
    let left_out = difference.books_by_price_left_out;
    if left_out > 0 {
        writeln!(
            out,
            "books by price that the event changed or that differ behind it, not printed: {left_out}"
        )?;
    }
    out.flush()
}

fn print_side(out: &mut impl Write, title: &str, side: &Side) -> io::Result<()> {
    for (when, book) in [("before", &side.before), ("behind", &side.after)] {
        match book {
            Some(book) => {
                let line = super::text::line(&book.summary);
                writeln!(
                    out,
                    "{title}, {when} (state_hash {}): {line}",
                    book.state_hash
                )?;
                super::text::depth(out, &book.depth, "  ")?;
            }
            None => writeln!(out, "{title}, {when}: no such book")?,
        }
    }
    Ok(())
}
