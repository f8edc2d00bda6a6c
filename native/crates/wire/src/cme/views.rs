//! Typed views over messages: each field by the exchange's name, read where the generated layouts
//! have it. A view borrows the bytes; reading it neither allocates nor fails.
//!
//! Prices are mantissas; their power of ten is the template's, [`Message::price_exponent`]. A field
//! without a value is `None`.

use std::fmt;
use std::marker::PhantomData;

use super::layout::{price_exponent, template, v6, v9, v9_nine};
use super::{Group, GroupError, Message};

/// The constant of a field in the module of its block.
macro_rules! place {
    ([$($block:ident)::+] $at:ident) => {
        $($block)::+::$at
    };
}

/// Declares a view over a block: a root block or an entry, of at least so many bytes. With a twin,
/// the block of the template with prices in 10⁻⁹, whose fields stand at the same places.
macro_rules! view {
    (
        $(#[doc = $doc:literal])*
        $name:ident($block:tt, $len:expr) $(like $twin:tt)? {
            $($(#[doc = $field_doc:literal])* $field:ident: $at:ident -> $value:ty,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name<'a>(&'a [u8]);

        view!(@twins $block [$($twin)?] $($at)*);

        impl<'a> $name<'a> {
            $(
                $(#[doc = $field_doc])*
                #[inline]
                pub fn $field(&self) -> $value {
                    place!($block $at).get(self.0)
                }
            )*

            /// The whole block, as long as the wire says.
            pub fn bytes(&self) -> &'a [u8] {
                self.0
            }
        }

        impl<'a> Block<'a> for $name<'a> {
            const LEN: usize = {
                $(assert!(place!($block $at).end() <= $len);)*
                $len
            };

            fn of(block: &'a [u8]) -> Self {
                Self(block)
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &self.$field()))*
                    .finish_non_exhaustive()
            }
        }
    };
    (@twins $block:tt [] $($at:ident)*) => {};
    (@twins $block:tt [$twin:tt] $($at:ident)*) => {
        const _: () = {
            $(assert!(place!($block $at).0 == place!($twin $at).0);)*
        };
    };
}

mod definition;
mod incremental;
mod other;

pub use definition::{Definition, FeedType};
pub use incremental::{
    DailyStatistic, IncrementalRoot, Limits, LinkedOrder, OldTrade, OrderEntry, PriceEntry,
    SessionStatistic, Trade, TradeOrder, Volume,
};
pub use other::{
    Login, Logout, OrderSnapshotEntry, OrderSnapshotRoot, QuoteRequest, RelatedSymbol, ResetEntry,
    SecurityStatus, SnapshotEntry, SnapshotRoot,
};

/// A view that can be made of a block that is long enough.
pub trait Block<'a>: Copy {
    /// Bytes that the block has at least.
    const LEN: usize;

    #[doc(hidden)]
    fn of(block: &'a [u8]) -> Self;

    /// The view; `None` when the block is too short.
    fn read(block: &'a [u8]) -> Option<Self> {
        (block.len() >= Self::LEN).then(|| Self::of(block))
    }
}

/// The entries of a group.
#[derive(Clone, Copy)]
pub struct Entries<'a, E> {
    group: Group<'a>,
    entry: PhantomData<fn() -> E>,
}

/// Any message of MDP 3.0.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// Every book and statistic of the channel is empty (4).
    ChannelReset {
        /// Time and place in the event.
        root: IncrementalRoot<'a>,
        /// Channels.
        entries: Entries<'a, ResetEntry<'a>>,
    },
    /// The channel lives (12).
    Heartbeat,
    /// A session begins (15).
    Login(Login<'a>),
    /// A session ends (16).
    Logout(Logout<'a>),
    /// An instrument is defined (27, 29, 41, 54, 55, 56).
    Definition(Definition<'a>),
    /// A trading status (30).
    SecurityStatus(SecurityStatus<'a>),
    /// Books by price, and by order (32, 46).
    Book {
        /// Time and place in the event.
        root: IncrementalRoot<'a>,
        /// Price levels.
        prices: Entries<'a, PriceEntry<'a>>,
        /// Orders behind them.
        orders: Entries<'a, LinkedOrder<'a>>,
    },
    /// Books by order (43, 47).
    OrderBook {
        /// Time and place in the event.
        root: IncrementalRoot<'a>,
        /// Orders.
        orders: Entries<'a, OrderEntry<'a>>,
    },
    /// Trades (42, 48).
    Trades {
        /// Time and place in the event.
        root: IncrementalRoot<'a>,
        /// Trades.
        trades: Entries<'a, Trade<'a>>,
        /// Orders that were matched, of all trades in order.
        orders: Entries<'a, TradeOrder<'a>>,
    },
    /// Trades up to version 6 (36).
    OldTrades {
        /// Time and place in the event.
        root: IncrementalRoot<'a>,
        /// Trades.
        trades: Entries<'a, OldTrade<'a>>,
    },
    /// Traded volume (37).
    Volume {
        /// Time and place in the event.
        root: IncrementalRoot<'a>,
        /// One for each instrument.
        volumes: Entries<'a, Volume<'a>>,
    },
    /// Settlement, cleared volume, open interest, fixing (33, 49).
    DailyStatistics {
        /// Time and place in the event.
        root: IncrementalRoot<'a>,
        /// Statistics.
        statistics: Entries<'a, DailyStatistic<'a>>,
    },
    /// Price limits and banding (34, 50).
    Limits {
        /// Time and place in the event.
        root: IncrementalRoot<'a>,
        /// One for each instrument.
        limits: Entries<'a, Limits<'a>>,
    },
    /// Opening, high, low and the like (35, 51).
    SessionStatistics {
        /// Time and place in the event.
        root: IncrementalRoot<'a>,
        /// Statistics.
        statistics: Entries<'a, SessionStatistic<'a>>,
    },
    /// An instrument's book by price, whole (38, 52).
    Snapshot {
        /// Which, and how far it goes.
        root: SnapshotRoot<'a>,
        /// Price levels and statistics.
        entries: Entries<'a, SnapshotEntry<'a>>,
    },
    /// A part of an instrument's book by order (44, 53).
    OrderSnapshot {
        /// Which, and how far it goes.
        root: OrderSnapshotRoot<'a>,
        /// Orders.
        entries: Entries<'a, OrderSnapshotEntry<'a>>,
    },
    /// Somebody asks for a quote (39).
    QuoteRequest {
        /// Time and number of the request.
        root: QuoteRequest<'a>,
        /// Instruments.
        symbols: Entries<'a, RelatedSymbol<'a>>,
    },
}

impl<'a> Message<'a> {
    /// The message as what its template says.
    ///
    /// # Errors
    /// [`GroupError`] when it is not what its template says, or the template is not known: count
    /// it and go on with the next, the lengths on the wire hold.
    pub fn view(&self) -> Result<View<'a>, GroupError> {
        let groups = self.groups()?;
        // `groups` has checked the length of each block.
        let root = IncrementalRoot::of(self.root);
        Ok(match self.template_id {
            template::CHANNEL_RESET => View::ChannelReset {
                root,
                entries: Entries::of(groups.first()),
            },
            template::HEARTBEAT => View::Heartbeat,
            template::LOGIN => View::Login(Login::of(self.root)),
            template::LOGOUT => View::Logout(Logout::of(self.root)),
            template::SECURITY_STATUS => View::SecurityStatus(SecurityStatus::of(self.root)),
            template::BOOK | template::BOOK_9 => View::Book {
                root,
                prices: Entries::of(groups.first()),
                orders: Entries::of(groups.second()),
            },
            template::ORDER_BOOK | template::ORDER_BOOK_9 => View::OrderBook {
                root,
                orders: Entries::of(groups.first()),
            },
            template::TRADE_SUMMARY | template::TRADE_SUMMARY_9 => View::Trades {
                root,
                trades: Entries::of(groups.first()),
                orders: Entries::of(groups.second()),
            },
            template::TRADE => View::OldTrades {
                root,
                trades: Entries::of(groups.first()),
            },
            template::VOLUME => View::Volume {
                root,
                volumes: Entries::of(groups.first()),
            },
            template::DAILY_STATISTICS | template::DAILY_STATISTICS_9 => View::DailyStatistics {
                root,
                statistics: Entries::of(groups.first()),
            },
            template::LIMITS | template::LIMITS_9 => View::Limits {
                root,
                limits: Entries::of(groups.first()),
            },
            template::SESSION_STATISTICS | template::SESSION_STATISTICS_9 => {
                View::SessionStatistics {
                    root,
                    statistics: Entries::of(groups.first()),
                }
            }
            template::SNAPSHOT | template::SNAPSHOT_9 => View::Snapshot {
                root: SnapshotRoot::of(self.root),
                entries: Entries::of(groups.first()),
            },
            template::ORDER_SNAPSHOT | template::ORDER_SNAPSHOT_9 => View::OrderSnapshot {
                root: OrderSnapshotRoot::of(self.root),
                entries: Entries::of(groups.first()),
            },
            template::QUOTE_REQUEST => View::QuoteRequest {
                root: QuoteRequest::of(self.root),
                symbols: Entries::of(groups.first()),
            },
            template_id => match Definition::of(template_id, self.root, groups) {
                Some(definition) => View::Definition(definition),
                None => return Err(GroupError::UnknownTemplate { template_id }),
            },
        })
    }

    /// Time and place in the event of an incremental message; `None` of others.
    pub fn incremental(&self) -> Option<IncrementalRoot<'a>> {
        let is_incremental = matches!(
            self.template_id,
            template::CHANNEL_RESET
                | template::BOOK..=template::VOLUME
                | template::TRADE_SUMMARY
                | template::ORDER_BOOK
                | template::BOOK_9..=template::SESSION_STATISTICS_9
        );
        is_incremental
            .then(|| IncrementalRoot::read(self.root))
            .flatten()
    }

    /// Power of ten of the message's prices: −7, or −9 since version 9.
    pub fn price_exponent(&self) -> i8 {
        price_exponent(self.template_id)
    }
}

impl<'a, E: Block<'a>> Entries<'a, E> {
    fn of(group: Group<'a>) -> Self {
        Self {
            group,
            entry: PhantomData,
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.group.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.group.is_empty()
    }

    /// The entry with this index, from 0.
    pub fn get(&self, index: usize) -> Option<E> {
        self.group.get(index).map(E::of)
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = E> + use<'a, E> {
        self.group.entries().map(E::of)
    }
}

impl<'a, E: Block<'a> + fmt::Debug> fmt::Debug for Entries<'a, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
