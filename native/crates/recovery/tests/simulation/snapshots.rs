//! A snapshot server that works or lies.

use tickdeck_recovery::Fault;

use crate::random::Random;
use crate::servers::Manner;
use crate::world::MS;

/// How long a caller waits for a snapshot that does not come.
const TIMEOUT_NS: u64 = 300 * MS;

/// How a snapshot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is whole, and stands for everything below this number.
    Done(u64),
    /// It is not.
    Failed(Fault),
}

/// What its caller does with the gaps that wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// They stay until it is there: the stream stops before the number where it resumes.
    Stop,
    /// They are lost to it at once, and the stream goes on.
    GoOn,
}

#[derive(Clone, Debug)]
pub(crate) struct SnapshotServer {
    pub(crate) manner: Manner,
    pub(crate) used: Use,
    pub(crate) delay_ns: u64,
}

impl SnapshotServer {
    pub(crate) fn random(random: &mut Random) -> Self {
        let manner = match random.between(0, 3) {
            0..=1 => Manner::Working,
            2 => Manner::Silent,
            _ => Manner::Lying(None, random.between(300, 1000)),
        };
        Self {
            manner,
            used: random.pick(&[Use::Stop, Use::GoOn]),
            delay_ns: random.between(MS, 30 * MS),
        }
    }

    /// How a snapshot that is wanted at `now_ns` ends, and when; the venue's next number is
    /// `next` then.
    pub(crate) fn answer(&self, random: &mut Random, next: u64, now_ns: u64) -> (u64, Outcome) {
        let lie = match self.manner {
            Manner::Working => Fault::None,
            Manner::Silent => Fault::Silent,
            Manner::Lying(lie, permille) if random.chance(permille) => {
                lie.unwrap_or_else(|| random.pick(&Fault::ALL[1..]))
            }
            Manner::Lying(..) => Fault::None,
        };
        let at_ns = now_ns + self.delay_ns;
        match lie {
            Fault::None => (at_ns, Outcome::Done(next)),
            Fault::Stale => (at_ns, Outcome::Done(random.between(1, next))),
            Fault::Slow => (at_ns + 2 * TIMEOUT_NS, Outcome::Done(next)),
            Fault::Silent => (now_ns + TIMEOUT_NS, Outcome::Failed(lie)),
            _ => (at_ns, Outcome::Failed(lie)),
        }
    }
}
