//! `tickdeck-journal`: looks into a journal and replays it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    tickdeck_worker::journal::main()
}
