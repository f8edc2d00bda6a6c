//! Named places at which tests kill, stop or fail the journal; only with the feature `failpoints`.
//!
//! Without the feature `fp!` is nothing, so that no release has any of it. With it each place is one
//! of the crate `fail`: `FAILPOINTS="journal.block.after_write=6*off->return(kill)"` kills the process
//! the seventh time that it comes there. `return(EIO)` and `return(ENOSPC)` are the error of a place
//! that can fail; `pause`, `sleep(ms)`, `panic` and `off` are those of `fail`.

/// Names a place: `fp!("name")`, or `fp!("name", return)` where an `io::Error` can be returned.
#[cfg(feature = "failpoints")]
macro_rules! fp {
    ($name:literal) => {
        $crate::failpoints::pass($name)
    };
    ($name:literal, return) => {
        $crate::failpoints::hit($name)?
    };
}

#[cfg(not(feature = "failpoints"))]
macro_rules! fp {
    ($name:literal) => {};
    ($name:literal, return) => {};
}

pub(crate) use fp;

/// Every name.
#[cfg(any(test, feature = "failpoints"))]
pub(crate) const NAMES: &[&str] = &[
    "disk.sync",
    "disk.sync_dir",
    "disk.write",
    "journal.abandon",
    "journal.block.after_write",
    "journal.block.before_write",
    "journal.checkpoint.after_write",
    "journal.header.after_dir_sync",
    "journal.header.after_rename",
    "journal.header.after_sync",
    "journal.header.after_write",
    "journal.header.before_write",
    "journal.litter.after_remove",
    "journal.prepare.after_allocate",
    "journal.prepare.after_create",
    "journal.prepare.after_discard",
    "journal.rewrite.after_begin",
    "journal.rewrite.after_block",
    "journal.rewrite.after_hole",
    "journal.rewrite.after_sync",
    "journal.rotate.after_begin",
    "journal.rotate.after_seal",
    "journal.seal.after_block",
    "journal.seal.after_cut",
    "journal.seal.after_dir_sync",
    "journal.seal.after_sync",
    "journal.seal.after_trailer",
    "journal.seal.before_block",
    "journal.sync.after",
    "journal.sync.before",
    "recovery.aside.after_dir_sync",
    "recovery.aside.after_rename",
    "recovery.cut.after_copy",
    "recovery.cut.after_sync",
    "recovery.cut.after_truncate",
    "recovery.end",
    "recovery.fence.after_state",
    "recovery.hole.after_sync",
    "recovery.hole.after_write",
    "recovery.intent.after_remove",
    "recovery.intent.after_rename",
    "recovery.intent.after_write",
    "recovery.mark.after_copy",
    "recovery.planned",
    "recovery.report.after_aside",
    "recovery.report.after_dir_sync",
    "recovery.report.after_rename",
    "recovery.report.after_write",
    "recovery.seal.after",
    "recovery.unused.after_remove",
    "retention.mark.after_dir_sync",
    "retention.mark.after_rename",
    "retention.mark.after_write",
    "retention.unlink.after",
    "retention.unlink.after_dir_sync",
    "retention.unlink.before",
    "state.create.after_rename",
    "state.create.after_write",
    "state.replace.after_dir_sync",
    "state.replace.after_rename",
    "state.replace.after_write",
    "state.slot.after_sync",
    "state.slot.after_write",
    "state.slot.before_write",
];

#[cfg(feature = "failpoints")]
mod armed {
    use std::io;

    use rustix::process::{Signal, getpid, kill_process};

    /// Arms what the environment's `FAILPOINTS` says, until the process ends.
    pub fn arm() {
        // Dropping a scenario disarms it.
        std::mem::forget(fail::FailScenario::setup());
    }

    /// Every name.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        super::NAMES
    }

    /// Arms one place from now on; `off` disarms it.
    ///
    /// # Errors
    ///
    /// What is wrong with the actions.
    pub fn set(name: &str, actions: &str) -> Result<(), String> {
        fail::cfg(name, actions)
    }

    /// Comes by a place that cannot fail.
    pub(crate) fn pass(name: &str) {
        if let Err(error) = hit(name) {
            panic!("{name} cannot fail, least of all with: {error}");
        }
    }

    /// Comes by a place.
    pub(crate) fn hit(name: &str) -> io::Result<()> {
        fail::fail_point!(name, |action| act(name, action.as_deref()));
        Ok(())
    }

    fn act(name: &str, action: Option<&str>) -> io::Result<()> {
        let errno = match action {
            Some("kill") => {
                kill_process(getpid(), Signal::KILL)?;
                unreachable!("a process outlives no SIGKILL that it sends itself");
            }
            Some("EIO") => rustix::io::Errno::IO,
            Some("ENOSPC") => rustix::io::Errno::NOSPC,
            other => panic!("{name}: return({other:?}); known are kill, EIO and ENOSPC"),
        };
        Err(errno.into())
    }
}

#[cfg(feature = "failpoints")]
pub use self::armed::{arm, names, set};
#[cfg(feature = "failpoints")]
pub(crate) use self::armed::{hit, pass};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::NAMES;

    /// R02 covers each of [`NAMES`]: they are exactly those in the source, each at one place.
    #[test]
    fn every_place_is_listed_once() {
        let mut found = Vec::new();
        collect(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        );
        let unique: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(unique.len(), found.len(), "a name at two places: {found:?}");
        assert_eq!(unique.into_iter().collect::<Vec<_>>(), NAMES);
    }

    fn collect(dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).expect("lists") {
            let path = entry.expect("lists").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.file_name().is_some_and(|name| name != "failpoints.rs") {
                let text = fs::read_to_string(&path).expect("reads");
                let names = text.split("fp!(\"").skip(1);
                found.extend(names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
}
