//! Room for descriptors: strangers must not take those of whom is served.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Our own files and sockets, the control socket's, and what a look opens.
const OWN: u64 = 128;
/// A socket, and the segment that is read.
const EACH: u64 = 2;

/// Raises the limit, as far as the system lets us, to what `subscribers` with all that may wait or
/// linger beside them can need.
pub(super) fn make_room(subscribers: usize, beside: usize) {
    let needed = OWN + EACH * subscribers as u64 + beside as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(have) = current.filter(|current| *current < needed) else {
        return;
    };
    let raised = maximum.map_or(needed, |maximum| maximum.min(needed));
    let limit = Rlimit {
        current: Some(raised),
        maximum,
    };
    let have = match setrlimit(Resource::Nofile, limit) {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            have
        }
    };
    if have < needed {
        tracing::warn!(
            have,
            needed,
            "few open files are allowed: strangers can keep subscribers out; raise LimitNOFILE"
        );
    }
}
