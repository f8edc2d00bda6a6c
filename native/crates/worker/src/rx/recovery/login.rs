//! User and password of a SoupBinTCP login.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tickdeck_wire::soupbintcp::{Password, Username};

use crate::exit::{Code, Failure};
use crate::spec::Recovery;

/// Bits of a file's mode that let others read or change it.
const OPEN_TO_OTHERS: u32 = 0o007;

/// Reads the login; blank when none is configured.
///
/// # Errors
/// A name or password that the protocol has no room for, a file that is not there, or that others
/// may read. The password is in no text.
pub(super) fn read(recovery: &Recovery) -> Result<(Username, Password), Failure> {
    let (Some(name), Some(path)) = (&recovery.username, &recovery.password_file) else {
        return Ok((Username::default(), Password::default()));
    };
    let username = name
        .parse()
        .map_err(|error| Failure::new(Code::Config, format!("recovery.username: {error}")))?;
    Ok((username, password(path)?))
}

fn password(path: &Path) -> Result<Password, Failure> {
    let invalid = |text: String| {
        let path = path.display();
        Failure::new(
            Code::Config,
            format!("recovery.password_file {path}: {text}"),
        )
    };
    let metadata = fs::metadata(path).map_err(|error| invalid(error.to_string()))?;
    if metadata.permissions().mode() & OPEN_TO_OTHERS != 0 {
        let text = "others may read it; take that away with chmod o-rwx";
        return Err(invalid(text.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|error| invalid(error.to_string()))?;
    let first = text.lines().next().filter(|line| !line.is_empty());
    let first =
        first.ok_or_else(|| invalid("it is empty; its first line is the password".into()))?;
    first.parse().map_err(|error| invalid(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        fs::write(file.path(), text).expect("written");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("mode set");
        file
    }

    /// The first line is the password; a file open to others, too long a password, an empty file and
    /// no file are refused without showing it.
    #[test]
    fn a_password_is_read_from_a_closed_file() {
        let good = file("secret\nnote\n", 0o600);
        assert_eq!(
            password(good.path()).expect("read"),
            "secret".parse().expect("fits")
        );
        for bad in [file("secret\n", 0o644), file("secretsecret\n", 0o600)] {
            let failure = password(bad.path()).expect_err("refused");
            assert_eq!(failure.code, Code::Config);
            assert!(!failure.message.contains("secret"), "{failure}");
        }
        for empty in ["", "\n", "\nsecret\n"] {
            let failure = password(file(empty, 0o600).path()).expect_err("no password");
            assert!(failure.message.contains("empty"), "{failure}");
        }
        assert!(password(Path::new("/nonexistent")).is_err());
    }
}
