//! The difference of books between two points of one input.
//!
//! ```json
//! {"from":{"wanted":"1000","message":1000,…},"to":{…},
//!  "books":[{"symbol":"ES","book":"order","from":{…},"to":{…},
//!            "levels_added":1,"levels_removed":0,"levels_changed":2,
//!            "orders_entered":3,"orders_left":1,"orders_changed":1,
//!            "levels":[{"side":"bid","price":1,"before":null,"after":[100,1]},…]}]}
//! ```
//!
//! `levels` holds the changed levels of each side, nearest the touch first, at most `--levels` of
//! them; the counts are of all. An order that changed has another price or quantity under the same
//! reference. Books by price (`"book":"price"`) have no orders of their own: the counts of orders
//! are 0.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;

use serde::Serialize;
use tickdeck_book::price_book::{Kind, PriceBook};
use tickdeck_book::{BookView, Books, LevelView, Record, Side};

use super::point::{Points, Wanted};
use super::walk::{Place, Visitor, walk};
use super::{OfflineArgs, begin, on_stdout, text, whole};
use crate::book::price_report::PriceSummary;
use crate::book::report::{BookSummary, ScaleView};
use crate::exit::{Code, Failure};

/// Prints the difference between the points of `--diff`.
pub(super) fn run(args: &OfflineArgs) -> Result<Code, Failure> {
    let [from, to] = &args.diff[..] else {
        let text = format!(
            "--diff needs two points, A,B; {} were given",
            args.diff.len()
        );
        return Err(Failure::new(Code::Config, text));
    };
    let (mut input, mut channel, points) = begin(args, &args.diff)?;
    let mut images = Images {
        args,
        points,
        taken: [None, None],
    };
    let walked = walk(&mut input, &mut channel, args.protocol, &mut images);
    if !walked.stopped {
        let reached = images.points.rest();
        images.take(&reached, channel.books(), &walked.place);
    }
    let [Some(before), Some(after)] = images.taken else {
        return Err(Failure::failed(
            "a point was not reached; this is an error of the tool",
        ));
    };
    let difference = Difference::between((from, before), (to, after), args.levels);
    print(args, &difference).map_err(on_stdout)?;
    whole(&args.input, walked.problem.as_ref())
}

/// Books at a point.
struct Image {
    place: Place,
    books: BTreeMap<Name, BookImage>,
}

/// Symbol and `order` or `price`, in this order where there are both.
type Name = (String, &'static str);

struct BookImage {
    summary: Summary,
    /// Best first.
    levels: [Vec<LevelView>; 2],
    /// Price and quantity of each order; a reference may stand on both sides at some venues.
    orders: HashMap<(Side, u64), (i64, u64)>,
}

/// A book in a few numbers.
#[derive(Serialize)]
#[serde(untagged)]
enum Summary {
    Order(Box<BookSummary>),
    Price {
        #[serde(flatten)]
        summary: Box<PriceSummary>,
        #[serde(flatten)]
        scale: ScaleView,
    },
}

impl Summary {
    fn line(&self) -> String {
        match self {
            Self::Order(summary) => text::line(summary),
            Self::Price { summary, .. } => summary.line(),
        }
    }
}

/// Takes an image at each of two points.
struct Images<'a> {
    args: &'a OfflineArgs,
    points: Points,
    taken: [Option<Image>; 2],
}

impl Visitor for Images<'_> {
    fn before(&mut self, books: &Books, place: &Place, record: &Record<'_>) -> ControlFlow<()> {
        let reached = self.points.before(record);
        self.take(&reached, books, place);
        self.flow()
    }

    #[inline]
    fn after(&mut self, books: &Books, place: &Place, _: &[u8]) {
        if let Some(sequence) = place.sequence {
            let reached = self.points.after(sequence);
            self.take(&reached, books, place);
        }
    }

    fn behind(&mut self, books: &Books, place: &Place) -> ControlFlow<()> {
        let reached = self.points.at_end();
        self.take(&reached, books, place);
        self.flow()
    }
}

impl Images<'_> {
    fn take(&mut self, reached: &[usize], books: &Books, place: &Place) {
        for index in reached {
            let by_order = books.iter().filter(|book| self.args.wants(*book));
            let by_order =
                by_order.map(|book| ((book.symbol().to_string(), "order"), BookImage::of(book)));
            let by_price = books.price_books().iter();
            let by_price = by_price
                .filter(|book| self.args.wants_symbol(book.symbol()))
                .map(|book| {
                    let image = BookImage::by_price(books, book);
                    ((book.symbol().to_string(), "price"), image)
                });
            self.taken[*index] = Some(Image {
                place: *place,
                books: by_order.chain(by_price).collect(),
            });
        }
    }

    fn flow(&self) -> ControlFlow<()> {
        if self.points.is_done() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl BookImage {
    fn of(book: BookView<'_>) -> Self {
        let side = |side| book.top_n(side, usize::MAX).collect::<Vec<LevelView>>();
        let queues = Side::BOTH.into_iter().flat_map(|side| book.queue(side));
        let orders = queues.map(|order| {
            let value = (order.price, order.quantity);
            ((order.side, order.reference), value)
        });
        Self {
            summary: Summary::Order(Box::new(BookSummary::of(book, false))),
            levels: Side::BOTH.map(side),
            orders: orders.collect(),
        }
    }

    /// Its levels are those down to the first that is unknown; it has no orders of its own.
    fn by_price(books: &Books, book: &PriceBook) -> Self {
        Self {
            summary: Summary::Price {
                summary: Box::new(PriceSummary::of(books, book, 0)),
                scale: ScaleView::of(books.config().scale),
            },
            levels: Side::BOTH.map(|side| book.levels(Kind::Real, side).collect()),
            orders: HashMap::new(),
        }
    }
}

/// What is printed.
#[derive(Serialize)]
struct Difference<'a> {
    from: At<'a>,
    to: At<'a>,
    books: Vec<BookDifference>,
}

/// A point and where it really is.
#[derive(Serialize)]
struct At<'a> {
    wanted: &'a str,
    #[serde(flatten)]
    place: Place,
}

#[derive(Serialize)]
struct BookDifference {
    symbol: String,
    /// `order` or `price`.
    book: &'static str,
    /// `null` when there was no such book then.
    from: Option<Summary>,
    to: Option<Summary>,
    levels_added: usize,
    levels_removed: usize,
    levels_changed: usize,
    orders_entered: usize,
    orders_left: usize,
    orders_changed: usize,
    levels: Vec<LevelDifference>,
}

/// Quantity and orders of a price at both points.
#[derive(Serialize)]
struct LevelDifference {
    side: &'static str,
    price: i64,
    before: Option<(u64, u32)>,
    after: Option<(u64, u32)>,
}

impl<'a> Difference<'a> {
    fn between(
        (from, mut before): (&'a Wanted, Image),
        (to, mut after): (&'a Wanted, Image),
        levels: usize,
    ) -> Self {
        let mut names: Vec<Name> = before
            .books
            .keys()
            .chain(after.books.keys())
            .cloned()
            .collect();
        names.sort_unstable();
        names.dedup();
        let books = names.into_iter().map(|name| {
            let images = [&mut before, &mut after].map(|image| image.books.remove(&name));
            BookDifference::between(name, images, levels)
        });
        let books = books.collect();
        let at = |wanted: &'a Wanted, image: &Image| At {
            wanted: &wanted.text,
            place: image.place,
        };
        Self {
            from: at(from, &before),
            to: at(to, &after),
            books,
        }
    }
}

impl BookDifference {
    fn between(
        (symbol, book): Name,
        [before, after]: [Option<BookImage>; 2],
        limit: usize,
    ) -> Self {
        let nothing = HashMap::new();
        let [old, new] =
            [&before, &after].map(|image| image.as_ref().map_or(&nothing, |image| &image.orders));
        let missing = |from: &HashMap<_, _>, to: &HashMap<_, _>| {
            to.keys().filter(|key| !from.contains_key(*key)).count()
        };
        let changed = |(key, value): (&_, &_)| old.get(key).is_some_and(|old| old != value);
        let mut this = Self {
            symbol,
            book,
            from: None,
            to: None,
            levels_added: 0,
            levels_removed: 0,
            levels_changed: 0,
            orders_entered: missing(old, new),
            orders_left: missing(new, old),
            orders_changed: new.iter().filter(|entry| changed(*entry)).count(),
            levels: Vec::new(),
        };
        for side in Side::BOTH {
            let of = |image: &'_ Option<BookImage>| {
                image
                    .as_ref()
                    .map_or_else(Vec::new, |image| image.levels[side.index()].clone())
            };
            this.add_levels(side, &of(&before), &of(&after), limit);
        }
        this.from = before.map(|image| image.summary);
        this.to = after.map(|image| image.summary);
        this
    }

    fn add_levels(&mut self, side: Side, old: &[LevelView], new: &[LevelView], limit: usize) {
        let mut both: BTreeMap<i64, [Option<(u64, u32)>; 2]> = BTreeMap::new();
        for (index, levels) in [old, new].into_iter().enumerate() {
            for level in levels {
                let price = level.price;
                both.entry(price).or_default()[index] = Some((level.quantity, level.orders));
            }
        }
        let mut changed: Vec<_> = both
            .into_iter()
            .filter(|(_, [old, new])| old != new)
            .collect();
        if side == Side::Bid {
            changed.reverse();
        }
        for (_, pair) in &changed {
            match pair {
                [None, _] => self.levels_added += 1,
                [_, None] => self.levels_removed += 1,
                _ => self.levels_changed += 1,
            }
        }
        self.levels.extend(
            changed
                .into_iter()
                .take(limit)
                .map(|(price, [before, after])| LevelDifference {
                    side: side_name(side),
                    price,
                    before,
                    after,
                }),
        );
    }
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Bid => "bid",
        Side::Ask => "ask",
    }
}

fn print(args: &OfflineArgs, difference: &Difference<'_>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer(&mut out, difference)?;
        writeln!(out)?;
        return out.flush();
    }
    for (word, at) in [("from", &difference.from), ("to", &difference.to)] {
        writeln!(out, "{word} {} ({})", at.wanted, text::place(&at.place))?;
    }
    for book in &difference.books {
        for summary in [&book.from, &book.to].into_iter().flatten() {
            writeln!(out, "{}", summary.line())?;
        }
        writeln!(
            out,
            "{}{} levels: {} added, {} removed, {} changed; \
             orders: {} entered, {} left, {} changed",
            book.symbol,
            if book.book == "price" {
                " by price"
            } else {
                ""
            },
            book.levels_added,
            book.levels_removed,
            book.levels_changed,
            book.orders_entered,
            book.orders_left,
            book.orders_changed,
        )?;
        for level in &book.levels {
            let quantity = |level: Option<(u64, u32)>| {
                level.map_or_else(
                    || "-".to_owned(),
                    |(quantity, orders)| format!("{quantity} ({orders})"),
                )
            };
            let (before, after) = (quantity(level.before), quantity(level.after));
            writeln!(
                out,
                "  {} {:>12} {before:>16} -> {after}",
                level.side, level.price
            )?;
        }
    }
    out.flush()
}
