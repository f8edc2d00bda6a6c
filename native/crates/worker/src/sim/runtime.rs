//! The runtime directory: lock, stats file, control socket.

use std::fs;
use std::path::Path;
use std::sync::mpsc::Sender;

use tickdeck_stats::{Builder, Header, Identity, State, parse_incarnation};

use super::args::PlayArgs;
use super::commands::{self, Order};
use super::meters::{Declared, Meters};
use crate::control::{ControlServer, Hello};
use crate::exit::{Code, Failure, chain};
use crate::lifecycle::{self, Lock, StopFlag};

/// The worker id of every sim: each has a runtime directory of its own.
const WORKER: &str = "sim";

/// What lives as long as the sim; nothing of it exists without a runtime directory.
pub(super) struct Runtime(Option<Open>);

struct Open {
    header: Header,
    _control: ControlServer,
    _lock: Lock,
}

impl Runtime {
    /// Takes the lock, creates the stats file, serves the control socket.
    pub(super) fn open(
        args: &PlayArgs,
        orders: &Sender<Order>,
        stop: &StopFlag,
    ) -> Result<(Self, Meters), Failure> {
        let Some(directory) = &args.runtime_dir else {
            return Ok((Self(None), Meters::default()));
        };
        fs::create_dir_all(directory).map_err(|error| {
            Failure::failed(format!(
                "runtime directory {}: {error}",
                directory.display()
            ))
        })?;
        let lock = Lock::take(directory)?;
        let incarnation = lifecycle::random_uuid()?;
        let (header, meters) = create_stats(args, directory, &incarnation)?;
        let path = directory.join("control.sock");
        let hello = Hello {
            worker: WORKER,
            incarnation: &incarnation,
            ops: &commands::OPS,
        };
        let handler = commands::handler(orders.clone(), stop.clone());
        let control = ControlServer::serve(&path, hello, handler).map_err(|error| {
            Failure::failed(format!("control socket {}: {error}", path.display()))
        })?;
        header.set_state(State::Ready);
        let open = Open {
            header,
            _control: control,
            _lock: lock,
        };
        Ok((Self(Some(open)), meters))
    }

    /// Leaves the last words.
    pub(super) fn close(self, result: &Result<Code, Failure>) {
        let Some(open) = self.0 else { return };
        let (code, text) = match result {
            Ok(code) => (*code, "drained"),
            Err(failure) => (failure.code, failure.message.as_str()),
        };
        open.header.exit(code.reason(), code as i32, text);
        open.header.set_state(State::Stopped);
    }
}

fn create_stats(
    args: &PlayArgs,
    directory: &Path,
    incarnation: &str,
) -> Result<(Header, Meters), Failure> {
    let incarnation = parse_incarnation(incarnation)
        .ok_or_else(|| Failure::failed(format!("the kernel's uuid {incarnation:?} is none")))?;
    let mut builder = Builder::new(Identity {
        worker_id: WORKER.to_owned(),
        resource: args.session.to_string(),
        build_id: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation,
        generation: 0,
    });
    let declared = Declared::new(&mut builder);
    let file = builder.create(directory).map_err(|error| {
        let text = chain(&error);
        Failure::failed(format!("stats file in {}: {text}", directory.display()))
    })?;
    let header = file.header();
    Ok((header.clone(), declared.publish(header)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::sim::args::{Cli, Command};

    /// Proves that the exit record names the kind of failure: a missing interface is not a crash.
    #[test]
    fn the_exit_record_has_the_reason_of_the_code() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let line = "tickdeck-sim play --generate --line A=239.81.0.1:31001 --runtime-dir";
        let path = directory.path().to_str().expect("a path in UTF-8");
        let cli = Cli::try_parse_from(line.split(' ').chain([path])).expect("valid");
        let Command::Play(args) = cli.command else {
            panic!("play was asked for");
        };
        let (orders, _inbox) = std::sync::mpsc::channel();
        let stop = StopFlag::on_signals().expect("signals");
        let (runtime, _meters) = Runtime::open(&args, &orders, &stop).expect("open");
        runtime.close(&Err(Failure::new(Code::Unavailable, "no interface")));
        let mut files = fs::read_dir(directory.path()).expect("directory");
        let stats = files.find_map(|file| {
            let path = file.expect("entry").path();
            path.extension().is_some_and(|e| e == "dat").then_some(path)
        });
        let reader = tickdeck_stats::reader::Reader::open(&stats.expect("a stats file"));
        let record = reader.expect("readable").exit_record().expect("last words");
        assert_eq!(record.reason, Some(tickdeck_stats::ExitReason::Absent));
        assert_eq!((record.code, record.message.as_str()), (69, "no interface"));
    }

    /// Proves that a failure tells the system's reason and not only the step that failed.
    #[test]
    fn a_failure_names_its_cause() {
        let line = "tickdeck-sim play --generate --line A=239.81.0.1:31001";
        let cli = Cli::try_parse_from(line.split(' ')).expect("valid");
        let Command::Play(args) = cli.command else {
            panic!("play was asked for");
        };
        let uuid = lifecycle::random_uuid().expect("a uuid");
        let failure = create_stats(&args, Path::new("/nonexistent"), &uuid)
            .err()
            .expect("there is no such directory");
        assert!(failure.message.contains("os error 2"), "{failure}");
    }
}
