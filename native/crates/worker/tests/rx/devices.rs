//! Devices under a running worker's journal: slow and hanging ones by strace, throttled ones by blkio,
//! full ones on a tmpfs, failing ones on a loop device.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tickdeck_testbed::skip;

pub(crate) use crate::tracer::Tracer;

/// False, said aloud, when this process may neither trace nor mount.
pub(crate) fn is_privileged(test_name: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip(test_name, "it needs root to trace and to mount");
    }
    is_root
}

impl Tracer {
    /// Tampers with the journal thread's calls of fdatasync, see [`Tracer::on`].
    pub(crate) fn tamper(pid: u32, how: &str) -> Self {
        Self::on(pid, "journal", "fdatasync", how)
    }
}

/// Where the kernel throttles devices for a group of processes.
const BLKIO: &str = "/sys/fs/cgroup/blkio";

/// ext4 on a loop device of the test's own, undone when dropped.
pub(crate) struct LoopDisk {
    path: PathBuf,
    device: String,
}

impl LoopDisk {
    /// In `image`, mounted at `path`; read-only from its first error on.
    pub(crate) fn mount(path: PathBuf, image: &Path) -> Self {
        fs::create_dir_all(&path).expect("creates");
        let file = File::create(image).expect("creates");
        file.set_len(64 << 20).expect("sets the length");
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image));
        let device = run(Command::new("losetup")
            .args(["--find", "--show"])
            .arg(image));
        let device = device.trim().to_owned();
        let disk = Self { path, device };
        disk.mount_again();
        fs::remove_dir(disk.path.join("lost+found")).expect("is empty");
        disk
    }

    /// Its file system meets an error.
    pub(crate) fn fail(&self) {
        let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", self.name());
        fs::write(trigger, "1").expect("breaks it");
    }

    /// Checked and mounted again, as after a repair; nobody may use it meanwhile.
    pub(crate) fn mend(&self) {
        run(Command::new("umount").arg(&self.path));
        // 1: errors were corrected.
        let checked = Command::new("e2fsck").args(["-p", &self.device]).output();
        let checked = checked.expect("e2fsck is there: requirements/test-packages.sh");
        let code = checked.status.code();
        assert!(matches!(code, Some(0 | 1)), "{checked:?}");
        self.mount_again();
    }

    fn mount_again(&self) {
        run(Command::new("mount")
            .args(["-o", "errors=remount-ro", &self.device])
            .arg(&self.path));
    }

    fn name(&self) -> &str {
        self.device.trim_start_matches("/dev/")
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        for (what, command) in [
            ("unmount", Command::new("umount").arg(&self.path)),
            (
                "detach",
                Command::new("losetup").args(["--detach", &self.device]),
            ),
        ] {
            match command.status() {
                Ok(status) if status.success() => {}
                other => eprintln!("left behind: {what} {}: {other:?}", self.device),
            }
        }
    }
}

/// A file system on a loop device, which a process can be made to write slowly to.
pub(crate) struct SlowDisk {
    disk: LoopDisk,
    group: PathBuf,
}

impl SlowDisk {
    /// ext4 in `image`, mounted at `path`; `None`, said aloud, where the kernel cannot throttle it.
    pub(crate) fn mount(test_name: &str, path: PathBuf, image: &Path) -> Option<Self> {
        let group = PathBuf::from(format!("{BLKIO}/tickdeck-test-{}", std::process::id()));
        if !Path::new(BLKIO)
            .join("blkio.throttle.write_bps_device")
            .exists()
        {
            skip(test_name, "this kernel has no blkio throttle of cgroup v1");
            return None;
        }
        let disk = LoopDisk::mount(path, image);
        fs::create_dir(&group).expect("a group of processes");
        Some(Self { disk, group })
    }

    /// What a process writes there goes at so many bytes a second from now on.
    pub(crate) fn throttle(&self, pid: u32, bytes_per_s: u64) {
        self.limit(bytes_per_s);
        fs::write(self.group.join("cgroup.procs"), pid.to_string()).expect("joins");
    }

    /// And as fast as it can again. The device must have been throttled until now: the kernel has
    /// charged the process's writes to the limit.
    pub(crate) fn release(&self) {
        let read = |name: &str| fs::read_to_string(self.group.join(name)).expect("reads");
        let limit = read("blkio.throttle.write_bps_device");
        assert!(limit.starts_with(&self.number()), "no limit: {limit:?}");
        let charged = read("blkio.throttle.io_service_bytes");
        let write = format!("{} Write ", self.number());
        let written = charged.lines().find_map(|line| line.strip_prefix(&write));
        let bytes: u64 = written.map_or(0, |bytes| bytes.parse().expect("a number"));
        assert!(bytes > 0, "nothing went to the throttled device: {charged}");
        self.limit(0);
    }

    fn limit(&self, bytes_per_s: u64) {
        let rule = format!("{} {bytes_per_s}", self.number());
        fs::write(self.group.join("blkio.throttle.write_bps_device"), rule).expect("is taken");
    }

    /// The device's major and minor number.
    fn number(&self) -> String {
        let number = fs::read_to_string(format!("/sys/class/block/{}/dev", self.disk.name()));
        number.expect("a device").trim().to_owned()
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // Its last process has ended, but the kernel may not have noticed.
        let left = (0..100).find_map(|_| match fs::remove_dir(&self.group) {
            Ok(()) => Some(()),
            Err(_) => {
                std::thread::sleep(std::time::Duration::from_millis(10));
                None
            }
        });
        if left.is_none() {
            eprintln!("left behind: {}", self.group.display());
        }
    }
}

/// What a command prints.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A small file system of the test's own, unmounted when dropped.
pub(crate) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// A tmpfs of so many bytes, such as `32m`.
    pub(crate) fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).expect("creates");
        let options = format!("size={size}");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .status();
        assert!(status.expect("mount runs").success());
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all the space that is left.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("creates");
        let page = [1; 4096];
        let error = loop {
            if let Err(error) = ballast.write_all(&page) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }

    /// Takes all the space that is left but so many bytes.
    pub(crate) fn fill_but(&self, left: u64) {
        let status = rustix::fs::statvfs(&self.path).expect("tells its space");
        let free = status.f_bavail * status.f_frsize;
        let ballast = vec![1; usize::try_from(free - left).expect("small")];
        fs::write(self.ballast(), ballast).expect("writes");
    }

    /// Nobody may write from now on.
    pub(crate) fn forbid_writing(&self) {
        let status = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&self.path)
            .status();
        assert!(status.expect("mount runs").success());
    }

    /// Gives it back.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("removes");
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        match Command::new("umount").arg(&self.path).status() {
            Ok(status) if status.success() => {}
            other => eprintln!("left behind: {}: {other:?}", self.path.display()),
        }
    }
}
