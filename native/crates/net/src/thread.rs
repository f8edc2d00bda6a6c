use rustix::mm::{MlockAllFlags, mlockall};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::error::NetError;

/// Binds the calling thread to one core.
///
/// # Errors
///
/// The core does not exist, or the cgroup's cpuset does not allow it.
pub fn pin_current_thread(core: usize) -> Result<(), NetError> {
    if core >= CpuSet::MAX_CPU {
        return Err(NetError::config("core", core, "below 1,024"));
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(|error| NetError::Permission {
        doing: format!("pin the thread to core {core}"),
        remedy: "choose a core of `nproc --all` that `taskset -p $$` and the cpuset allow",
        source: error.into(),
    })
}

/// Locks all present and future memory of the process, so that the hot path never faults.
///
/// # Errors
///
/// RLIMIT_MEMLOCK is too low and the process has no CAP_IPC_LOCK.
pub fn lock_memory() -> Result<(), NetError> {
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).map_err(|error| NetError::Permission {
        doing: "lock the memory of the process".to_owned(),
        remedy: "set LimitMEMLOCK=infinity in the unit (`ulimit -l unlimited`), give \
                     CAP_IPC_LOCK, or set general.mlock_all = false",
        source: error.into(),
    })
}
