//! `tickdeck-sim`: an exchange in one process.

use std::process::ExitCode;

fn main() -> ExitCode {
    tickdeck_worker::sim::main()
}
