//! `tickdeck-journal` as a process: its answers, its exit codes, and the packets it replays.

mod captures;
mod gaps;
mod looking;
mod replaying;
mod support;
