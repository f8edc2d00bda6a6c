//! `tickdeck-rx`: receives, merges, recovers and journals one exchange.

use std::process::ExitCode;

fn main() -> ExitCode {
    tickdeck_worker::rx::main()
}
