//! Promises in time, on machines that are shared with others.

use std::env;
use std::time::Duration;

/// How long something may take in a test that is promised within `time`. A busy machine stops a
/// test for longer than many promises, so it is usually a minute more, which tells what comes by
/// itself from what never does. With `TICKDECK_TEST_TIMES=promised` in the environment, for a quiet
/// machine (`native/soak.sh promises`), it is the promise.
#[must_use]
pub fn promised(time: Duration) -> Duration {
    match env::var_os(TIMES).is_some_and(|value| value == "promised") {
        true => time,
        false => time + BUSY,
    }
}

const TIMES: &str = "TICKDECK_TEST_TIMES";
/// What a busy machine may add.
const BUSY: Duration = Duration::from_secs(60);
