//! Certificates, keys, and the product's own subscriber as a process.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::plant::{KEY, Plant};

/// Certificates and keys of both sides, in the plant's directory.
pub(crate) struct Papers {
    pub(crate) dir: PathBuf,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

impl Papers {
    pub(crate) fn new(plant: &Plant) -> Self {
        let dir = plant.path("papers");
        fs::create_dir(&dir).expect("makes");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("parameters");
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of the test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).expect("signs");
        fs::write(dir.join("ca.pem"), ca.pem()).expect("writes");
        let papers = Self {
            dir,
            issuer: Issuer::new(params, key),
        };
        papers.issue("server", &["localhost"]);
        papers.issue("a", &["a", "localhost"]);
        papers.secret("key", &format!("a {}\n", hex(&KEY)));
        papers
    }

    pub(crate) fn issue(&self, file: &str, names: &[&str]) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        fs::write(self.dir.join(format!("{file}.pem")), certificate.pem()).expect("writes");
        self.secret(&format!("{file}.key"), &key.serialize_pem());
    }

    /// A certificate that is valid from one year to another.
    pub(crate) fn issue_at(&self, file: &str, names: &[&str], years: (i32, i32)) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(names).expect("parameters");
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        fs::write(self.dir.join(format!("{file}.pem")), certificate.pem()).expect("writes");
    }

    pub(crate) fn secret(&self, file: &str, text: &str) {
        write_secret(&self.dir.join(file), text);
    }

    pub(crate) fn arg(&self, file: &str) -> String {
        self.dir.join(file).to_str().expect("text").to_owned()
    }
}

pub(crate) fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).expect("writes");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("changes mode");
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A subscriber's process, killed when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().expect("waits").is_none() {
            self.0.kill().expect("kills");
            self.0.wait().expect("waits");
        }
    }
}

pub(crate) fn subscriber(plant: &Plant, arguments: &[&str]) -> Running {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(plant.path("subscriber.log"));
    let child = Command::new(env!("CARGO_BIN_EXE_tickdeck-journal"))
        .args(["subscribe", "--client", "a", "--reconnect-backoff-ms", "1"])
        .args(["--state", plant.path("state").to_str().expect("text")])
        .args(["--into", plant.path("copy").to_str().expect("text")])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("opens"))
        .spawn();
    Running(child.expect("runs"))
}

pub(crate) fn acked(plant: &Plant) -> u64 {
    fs::read_to_string(plant.path("state")).map_or(0, |text| {
        let state: Value = serde_json::from_str(&text).expect("JSON");
        state["acked_seq"].as_u64().expect("a number")
    })
}

/// A port that nobody has.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("an address").port()
}
