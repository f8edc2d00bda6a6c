//! `tickdeck-book`: order books of one channel, live or from a file.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    tickdeck_worker::book::main()
}
