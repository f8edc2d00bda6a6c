//! Scratch mounts, undone when they go out of scope.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// False, said aloud, when this process may not mount; a failure where that is required.
pub(crate) fn may_mount(test: &str) -> bool {
    let is_root = run("id", &["-u"]).is_ok_and(|id| id.trim() == "0");
    let is_required = env::var("TICKDECK_TEST_PRIVILEGED").is_ok_and(|value| value == "require");
    assert!(is_root || !is_required, "{test} needs root");
    if !is_root {
        eprintln!("SKIPPED {test}: it needs root for its mounts");
    }
    is_root
}

/// Runs a command; its output, or why not.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{program}: {error}; see requirements/test-packages.sh"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{program} {args:?}: {text}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a name of letters")
}

/// A mounted directory.
pub(crate) struct Mount {
    path: PathBuf,
}

impl Mount {
    pub(crate) fn tmpfs(path: &Path, size: &str) -> Self {
        fs::create_dir_all(path).expect("creates");
        let options = format!("size={size}");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "tmpfs", text(path)],
        )
        .expect("mounts");
        Self { path: path.into() }
    }

    pub(crate) fn image(image: &Path, path: &Path, options: &str) -> Self {
        fs::create_dir_all(path).expect("creates");
        let options = format!("loop,{options}");
        run("mount", &["-o", &options, text(image), text(path)]).expect("mounts");
        Self { path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &[text(&self.path)]) {
            eprintln!("left behind: {error}");
        }
    }
}

/// A file system in a sparse image on a tmpfs that is too small for it.
pub(crate) struct Lying {
    pub(crate) image: PathBuf,
    ballast: PathBuf,
    _tmpfs: Mount,
    pub(crate) home: TempDir,
}

impl Lying {
    pub(crate) fn new(make: &[&str], size: &str) -> Self {
        let home = TempDir::new().expect("a directory");
        let tmpfs = Mount::tmpfs(&home.path().join("backing"), size);
        let image = tmpfs.path().join("image");
        let file = fs::File::create(&image).expect("creates");
        file.set_len(320 << 20).expect("extends");
        let mut args = make[1..].to_vec();
        args.push(text(&image));
        run(make[0], &args).expect("makes a file system");
        let ballast = tmpfs.path().join("ballast");
        fs::write(&ballast, vec![1; 30 << 20]).expect("writes");
        Self {
            image,
            ballast,
            _tmpfs: tmpfs,
            home,
        }
    }

    /// There is room again.
    pub(crate) fn mend(&self) {
        fs::remove_file(&self.ballast).expect("removes");
    }
}
