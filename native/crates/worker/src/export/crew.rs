//! The threads of the exporter: one that ends before a stop takes the process with it.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::exit::Failure;

/// How soon an end is noticed by whoever waits for it.
const STEP: Duration = Duration::from_millis(10);

type Handle = JoinHandle<Result<(), Failure>>;

/// Threads by name.
#[derive(Debug, Default)]
pub(super) struct Crew(Vec<(&'static str, Handle)>);

impl Crew {
    pub(super) fn start(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        let builder = thread::Builder::new().name(name.to_owned());
        let handle = builder
            .spawn(work)
            .map_err(|error| Failure::failed(format!("{name} thread: {error}")))?;
        self.0.push((name, handle));
        Ok(())
    }

    /// Whether one has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.0.iter().any(|(_, handle)| handle.is_finished())
    }

    /// Why one has ended that nobody asked to.
    pub(super) fn desertion(&mut self) -> Failure {
        let ended = self.0.iter().find(|(_, handle)| handle.is_finished());
        let name = ended.map_or("unknown", |(name, _)| *name);
        let nobody =
            || Failure::failed(format!("the {name} thread ended though nobody stopped it"));
        self.join(name, || {}).err().unwrap_or_else(nobody)
    }

    /// Waits for the end of one, and calls `beat` meanwhile.
    pub(super) fn join(&mut self, name: &str, beat: impl FnMut()) -> Result<(), Failure> {
        self.join_until(name, None, beat)
    }

    /// As [`join`](Self::join), but no longer than `patience`; a thread that hangs is left behind.
    pub(super) fn join_within(
        &mut self,
        name: &str,
        patience: Duration,
        beat: impl FnMut(),
    ) -> Result<(), Failure> {
        self.join_until(name, Some(Instant::now() + patience), beat)
    }

    fn join_until(
        &mut self,
        name: &str,
        until: Option<Instant>,
        mut beat: impl FnMut(),
    ) -> Result<(), Failure> {
        let Some(at) = self.0.iter().position(|(it, _)| *it == name) else {
            return Ok(());
        };
        let (name, handle) = self.0.swap_remove(at);
        while !handle.is_finished() {
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(Failure::failed(format!(
                    "the {name} thread did not end in time; is its disk alive?"
                )));
            }
            beat();
            thread::sleep(STEP);
        }
        handle.join().unwrap_or_else(|_| {
            Err(Failure::failed(format!(
                "the {name} thread panicked; the exit record says where"
            )))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn wait_for_desertion(crew: &mut Crew) -> Failure {
        let begun = Instant::now();
        while !crew.has_ended() {
            assert!(begun.elapsed() < Duration::from_secs(1), "not noticed");
            thread::sleep(Duration::from_millis(1));
        }
        crew.desertion()
    }

    /// However a thread ends, it is noticed within a second and named; those that work are not.
    #[test]
    fn who_ends_is_noticed() {
        type Work = fn() -> Result<(), Failure>;
        let ends: [(Work, &str); 3] = [
            (|| panic!("on purpose"), "the door thread panicked"),
            (|| Err(Failure::failed("no more")), "no more"),
            (|| Ok(()), "the door thread ended though nobody stopped it"),
        ];
        for (work, expected) in ends {
            let mut crew = Crew::default();
            let (stay, stays) = channel::<()>();
            let works = move || {
                assert!(stays.recv().is_err(), "it is let go");
                Ok(())
            };
            crew.start("feed", works).expect("starts");
            assert!(!crew.has_ended());
            crew.start("door", work).expect("starts");
            let failure = wait_for_desertion(&mut crew);
            assert!(failure.message.contains(expected), "{}", failure.message);
            drop(stay);
            crew.join("feed", || {}).expect("ends in order");
        }
    }

    /// One that hangs is not waited for without end, and the others are told of life meanwhile.
    #[test]
    fn who_hangs_is_left_behind() {
        let mut crew = Crew::default();
        let (stay, stays) = channel::<()>();
        let hangs = move || {
            assert!(stays.recv().is_err(), "it is let go");
            Ok(())
        };
        crew.start("pins", hangs).expect("starts");
        let mut beats = 0;
        let patience = Duration::from_millis(50);
        let failure = crew.join_within("pins", patience, || beats += 1);
        let message = failure.expect_err("it hangs").message;
        assert!(message.contains("pins thread did not end"), "{message}");
        assert!(beats > 0);
        drop(stay);
    }
}
