//! The clocks, in nanoseconds. A reading costs about 16 ns (vDSO, no system call): take one per
//! batch, not per packet.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// CLOCK_REALTIME, nanoseconds since 1970 UTC: what receive times are given in.
#[inline]
pub fn realtime_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

/// CLOCK_MONOTONIC, nanoseconds since boot: what intervals are measured with.
#[inline]
pub fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Processor time of the calling thread, user and system, nanoseconds: the sum that getrusage gives
/// for it, in finer steps. A system call.
pub fn thread_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ThreadCPUTime))
}

#[inline]
fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
