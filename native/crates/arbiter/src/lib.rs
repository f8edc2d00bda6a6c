//! The merge of redundant lines into one strictly ordered stream.
//!
//! [`Arbiter`] takes packets of every line and of the recovery's sources as [`Unit`]s, with the
//! time they came, and calls an [`Output`] with runs of messages in sequence and with events. It
//! does no I/O, reads no clock and allocates nothing after construction.
//!
//! What holds, whatever the lines do:
//!
//! * Runs leave in sequence: each starts where the one before ended, no message twice.
//! * A message that is skipped was named before in [`Event::GapLost`], with a reason.
//! * A packet that is next in line is handed on from the caller's buffer, without a copy.
//! * One packet that is implausibly far ahead moves nothing; see [`Config::max_jump_messages`].
//! * Data behind a hole is held in slots allocated at construction. When they are full, the
//!   newest packet is dropped and counted; it is not forgotten: what follows reveals it as a
//!   later gap.
//! * A copy with other bytes than what was accepted is a conflict: told, counted, never used.
//! * The wait for another line follows its lag and ends early when every line has gone far enough
//!   beyond; see [`Config::reorder_window_ns`].
//! * The output can be stopped exactly before a number, for a snapshot; see [`Arbiter::stop_at`].
//!
//! [`Framing`] makes units of the packets of MoldUDP64, CME MDP3 and EOBI, and tells the epochs of
//! the two that do not name their sessions.
//!
//! The life of a gap: [`Event::GapOpened`] when a hole is seen, [`Event::GapWaitOver`] when the
//! reorder window has passed and it is time to ask for it, [`Event::GapProgress`] for each part
//! that arrives, then [`Event::GapFilled`] right after its last message was delivered, or
//! [`Arbiter::give_up`] and [`Event::GapLost`] in the place of each hole that stayed.
//!
//! ```
//! use tickdeck_arbiter::{Arbiter, Arrival, Config, Event, Output, Run, Source, Start};
//! use tickdeck_wire::moldudp64::{Packet, PacketBuilder, Session};
//!
//! #[derive(Default)]
//! struct Delivered(Vec<u64>);
//! impl Output for Delivered {
//!     fn deliver(&mut self, run: Run<'_>) {
//!         self.0.push(run.first_sequence);
//!     }
//!     fn event(&mut self, _: Event) {}
//! }
//!
//! let mut arbiter = Arbiter::new(Config { start: Start::SessionStart, ..Config::default() })?;
//! let mut builder = PacketBuilder::new(Session(*b"DEMO000001"), 1400);
//! builder.begin(1);
//! assert!(builder.push(b"hello"));
//! let packet = Packet::parse(builder.finish()).expect("well formed");
//! let mut delivered = Delivered::default();
//! for line in [0, 1] {
//!     let source = Source::Line(line);
//!     let arrival = Arrival { source, unit: packet.into(), rx_ns: 0, stamp: 1, now_ns: 0 };
//!     arbiter.on_packet(arrival, &mut delivered);
//! }
//! assert_eq!(delivered.0, [1]);
//! assert_eq!(arbiter.counters().duplicates, 1);
//! # Ok::<(), tickdeck_arbiter::ConfigError>(())
//! ```
#![forbid(unsafe_code)]

mod arbiter;
mod beyond;
mod config;
mod copies;
mod counters;
mod epochs;
mod framing;
mod gaps;
mod hold;
mod io;
mod jumps;
mod lines;
mod pieces;
mod ranges;
mod sessions;
mod unit;
mod watch;
mod window;

pub use arbiter::{Arbiter, StopError};
pub use config::{Config, ConfigError, MAX_LINES, Start};
pub use counters::{Counters, LineCounters};
pub use epochs::EpochCounters;
pub use framing::{Framing, NoEpoch, Refused};
pub use gaps::GapView;
pub use io::{Arrival, Conflict, Disposition, Event, Gap, Output, Run, Source};
pub use tickdeck_wire::record::{LossReason, SessionEventKind};
pub use unit::{Content, Reset, Unit};
pub use watch::Alone;
