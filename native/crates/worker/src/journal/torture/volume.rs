//! A file system in an image file, mounted in a namespace of ours, whose power can be cut.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::exit::{Code, Failure};

/// File systems with the shutdown ioctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FileSystem {
    /// ext4 in 64 MiB.
    Ext4,
    /// XFS in 320 MiB.
    Xfs,
}

impl FileSystem {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    fn image_bytes(self) -> u64 {
        match self {
            Self::Ext4 => 64 << 20,
            Self::Xfs => 320 << 20,
        }
    }
}

/// Becomes the same command in a mount namespace of its own: a namespace of somebody else would
/// keep the dead file system alive, and it could not be mounted again. Returns only with a failure.
pub(super) fn enter_namespace() -> Failure {
    if !rustix::process::geteuid().is_root() {
        return Failure::new(Code::Permission, "power cuts need root, for loop mounts");
    }
    let exe = match std::env::current_exe() {
        Ok(exe) => exe,
        Err(error) => return Failure::failed(format!("cannot find this program: {error}")),
    };
    let error = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(exe)
        .args(std::env::args_os().skip(1))
        .arg("--in-namespace")
        .exec();
    Failure::new(
        Code::Unavailable,
        format!("cannot run unshare (util-linux): {error}"),
    )
}

/// A mounted volume on a loop device.
#[derive(Debug)]
pub(super) struct Volume {
    file_system: FileSystem,
    device: PathBuf,
    mount_point: PathBuf,
}

impl Volume {
    /// Makes a file system below `home` and mounts it.
    pub(super) fn new(file_system: FileSystem, home: &Path) -> Result<Self, Failure> {
        let mount_point = home.join("mnt");
        fs::create_dir_all(&mount_point).map_err(|error| cannot("create", &mount_point, &error))?;
        let image = home.join("image");
        File::create_new(&image)
            .and_then(|file| file.set_len(file_system.image_bytes()))
            .map_err(|error| cannot("create", &image, &error))?;
        let maker = format!("mkfs.{}", file_system.name());
        run(Command::new(maker).arg("-q").arg(&image))?;
        let device = run(Command::new("losetup")
            .args(["--find", "--show"])
            .arg(&image))?;
        let volume = Self {
            file_system,
            device: PathBuf::from(device.trim_end()),
            mount_point,
        };
        volume.mount()?;
        Ok(volume)
    }

    pub(super) fn path(&self) -> &Path {
        &self.mount_point
    }

    /// Mounts the file system again, as after a power cut: its own journal is replayed.
    pub(super) fn remount(&self) -> Result<(), Failure> {
        self.unmount()?;
        self.mount()
    }

    fn mount(&self) -> Result<(), Failure> {
        let (name, flags) = (self.file_system.name(), MountFlags::empty());
        mount(&self.device, &self.mount_point, name, flags, None)
            .map_err(|error| cannot("mount", &self.mount_point, &error.into()))
    }

    /// A process that another lane is just starting, or a thread of a writer that is just ending,
    /// holds a file for a moment longer.
    fn unmount(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + BUSY_PATIENCE;
        loop {
            match unmount(&self.mount_point, UnmountFlags::empty()) {
                Err(Errno::BUSY) if Instant::now() < deadline => thread::sleep(BUSY_RETRY),
                result => {
                    return result
                        .map_err(|error| cannot("unmount", &self.mount_point, &error.into()));
                }
            }
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // The namespace ends with this process and takes the mount along; the device would stay.
        let detached = self
            .unmount()
            .and_then(|()| run(Command::new("losetup").arg("--detach").arg(&self.device)));
        if let Err(failure) = detached {
            tracing::warn!("{} stays: {failure}", self.device.display());
        }
    }
}

/// A hand on the switch: it has opened the file system and waits.
#[derive(Debug)]
pub(super) struct Switch {
    tool: Child,
    path: PathBuf,
}

impl Switch {
    pub(super) fn of(volume: &Volume) -> Result<Self, Failure> {
        let tool = Command::new("xfs_io")
            .arg("-x")
            .arg(volume.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let path = volume.path().to_owned();
        match tool {
            Ok(tool) => Ok(Self { tool, path }),
            Err(error) => Err(Failure::new(
                Code::Unavailable,
                format!("cannot run xfs_io, install xfsprogs: {error}"),
            )),
        }
    }

    /// Shuts the file system down; nothing is flushed. Makes sure that it is down.
    pub(super) fn cut(mut self) -> Result<(), Failure> {
        let mut stdin = self.tool.stdin.take().expect("is piped");
        let cut = stdin.write_all(b"shutdown\nquit\n").and_then(|()| {
            drop(stdin);
            self.tool.wait()
        });
        match cut {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(Failure::failed(format!("xfs_io: {status}"))),
            Err(error) => return Err(cannot("shut down", &self.path, &error)),
        }
        match File::create(self.path.join("is-down")) {
            Err(_) => Ok(()),
            Ok(_) => Err(Failure::failed(format!(
                "{} takes files after its shutdown",
                self.path.display()
            ))),
        }
    }
}

/// Runs a tool; its output, or what it complained of.
fn run(command: &mut Command) -> Result<String, Failure> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| Failure::new(Code::Unavailable, format!("cannot run {tool}: {error}")))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let text = format!("{tool}: {}: {}", output.status, complaint.trim_end());
        return Err(Failure::failed(text));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn cannot(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot {verb} {}: {error}", path.display()))
}

const BUSY_PATIENCE: Duration = Duration::from_secs(5);
const BUSY_RETRY: Duration = Duration::from_millis(1);
