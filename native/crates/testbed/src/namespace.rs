//! One network namespace with a name, made and removed with iproute2.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{TestbedError, Unavailable};

/// A namespace that this process made; removed on drop.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    pub(crate) fn create(name: String) -> Result<Self, TestbedError> {
        run("ip", &["netns", "add", &name]).map_err(|error| match error {
            TestbedError::Command { stderr, .. } => {
                TestbedError::Unavailable(Unavailable::NoNamespaces(stderr))
            }
            other => other,
        })?;
        let file = File::open(Path::new(DIRECTORY).join(&name)).map_err(|error| {
            // The value that would remove it does not exist yet.
            remove(&name);
            TestbedError::io(format!("open namespace {name}"), error)
        })?;
        Ok(Self { name, file })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Moves the calling thread into the namespace.
    pub(crate) fn enter(&self) -> Result<(), TestbedError> {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(self.file.as_fd(), kind)
            .map_err(|error| TestbedError::io(format!("enter namespace {}", self.name), error))
    }

    /// A command that runs in the namespace, with its own `/sys`.
    pub(crate) fn process(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs `ip` with the words of `arguments` on this namespace.
    pub(crate) fn ip(&self, arguments: &str) -> Result<String, TestbedError> {
        let mut words = vec!["-n", &self.name];
        words.extend(arguments.split_whitespace());
        run("ip", &words)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Removes the namespaces of processes that died before they could. Names are
/// `tdk-<pid>-<number>-<tx|rx>`.
pub(crate) fn remove_leftovers() {
    for entry in fs::read_dir(DIRECTORY).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid: Option<u32> = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove(&name);
        }
    }
}

/// Runs a command to its end and returns what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String, TestbedError> {
    let mut command = Command::new(program);
    command.args(arguments);
    output(&mut command)
}

/// As [`run`], for a command that is ready.
pub(crate) fn output(command: &mut Command) -> Result<String, TestbedError> {
    let result = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if command.get_program() == "ip" => {
            TestbedError::Unavailable(Unavailable::NoIp)
        }
        _ => TestbedError::io(format!("run {command:?}"), error),
    })?;
    if result.status.success() {
        return Ok(String::from_utf8_lossy(&result.stdout).into_owned());
    }
    Err(TestbedError::Command {
        command: format!("{command:?}"),
        stderr: String::from_utf8_lossy(&result.stderr).trim().to_owned(),
    })
}

/// First part of the names; the pid follows.
pub(crate) const PREFIX: &str = "tdk-";

/// A namespace that is gone already is as good; another process may have been quicker.
fn remove(name: &str) {
    let _ = Command::new("ip").args(["netns", "del", name]).output();
}

/// Where iproute2 keeps the namespaces that have names.
const DIRECTORY: &str = "/run/netns";
