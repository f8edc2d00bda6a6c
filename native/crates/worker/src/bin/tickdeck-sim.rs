//! `tickdeck-sim`: an exchange in one process.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    tickdeck_worker::sim::main()
}
