//! `tickdeck-rx`: receives, merges, recovers and journals one exchange.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    tickdeck_worker::rx::main()
}
