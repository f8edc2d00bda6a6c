//! How much memory some work needed at its peak.

use std::fs;

use serde_json::{Value, json};

/// Runs `work` and says by how many bytes the resident memory of the process rose above what it was
/// before, at the peak. `null` where the kernel does not tell (`VmHWM`, reset by `clear_refs`).
///
/// Pages that only lie reserved do not count; what an earlier run left to the allocator would, so
/// this is for the first work of a process.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, Value) {
    let is_reset = fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = status_kib("VmRSS:");
    let left = work();
    let peak = status_kib("VmHWM:").filter(|_| is_reset);
    let rise = before
        .zip(peak)
        .map(|(before, peak)| peak.saturating_sub(before));
    (left, json!(rise.map(|kib| kib * 1024)))
}

fn status_kib(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;

    const CHILD: &str = "TICKDECK_TEST_PEAK_CHILD";

    /// Memory that was touched and freed counts; memory that was only reserved does not. Measured in a
    /// process of its own: resident memory is the whole process's, and other tests free theirs meanwhile.
    #[test]
    fn the_peak_is_what_was_touched() {
        let output = Command::new(env::current_exe().expect("knows itself"))
            .args(["--exact", "--test-threads=1", "--nocapture"])
            .arg("memory::tests::in_a_process_of_its_own")
            .env(CHILD, "1")
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(text.contains("1 passed"), "{text}");
        if text.contains("SKIPPED") {
            println!("{text}");
        } else {
            assert!(text.contains("the child is done"), "{text}");
        }
    }

    /// Started by the test above; does nothing without it.
    #[test]
    fn in_a_process_of_its_own() {
        if env::var_os(CHILD).is_none() {
            return;
        }
        let (_, touched) = peak_of(|| drop(std::hint::black_box(vec![1_u8; 64 << 20])));
        let Some(touched) = touched.as_u64() else {
            println!("SKIPPED: the kernel does not tell the peak of resident memory");
            return;
        };
        assert!((60 << 20..80 << 20).contains(&touched), "{touched}");
        let reserve = || std::hint::black_box(Vec::<u8>::with_capacity(64 << 20));
        let (_, reserved) = peak_of(reserve);
        assert!(reserved.as_u64().unwrap() < 16 << 20, "{reserved}");
        println!("the child is done");
    }
}
