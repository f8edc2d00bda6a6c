//! Certificates for tests, and a clock that stands where it is put.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::export::tls::OwnFiles;

/// Noon of 2030-06-15, between the usual beginning and end of certificates.
pub(super) const NOW_S: u64 = 1_907_755_200;
pub(super) const DAY_S: u64 = 86_400;

/// A clock that is set.
#[derive(Debug)]
pub(super) struct SetClock(AtomicU64);

impl SetClock {
    pub(super) fn at(now_s: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(now_s)))
    }

    pub(super) fn set(&self, now_s: u64) {
        self.0.store(now_s, Ordering::Relaxed);
    }
}

impl TimeProvider for SetClock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = Duration::from_secs(self.0.load(Ordering::Relaxed));
        Some(UnixTime::since_unix_epoch(now))
    }
}

/// What a certificate says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf<'a> {
    pub(super) names: &'a [&'a str],
    pub(super) purpose: Option<Purpose>,
    /// Year and month; the first of it.
    pub(super) from: (i32, u8),
    pub(super) to: (i32, u8),
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Server,
    Client,
}

/// A certificate for these names, valid now.
pub(super) fn leaf<'a>(names: &'a [&'a str], purpose: Purpose) -> Leaf<'a> {
    Leaf {
        names,
        purpose: Some(purpose),
        from: (2030, 1),
        to: (2031, 1),
    }
}

/// Issues certificates into a directory.
pub(super) struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    name: String,
}

impl Authority {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
        let certificate = params.self_signed(&key).expect("signs");
        fs::write(dir.join(format!("{name}.ca.pem")), certificate.pem()).expect("writes");
        Self {
            dir: dir.to_owned(),
            issuer: Issuer::new(params, key),
            name: name.to_owned(),
        }
    }

    /// The file that says: trust these.
    pub(super) fn ca(&self) -> PathBuf {
        self.dir.join(format!("{}.ca.pem", self.name))
    }

    /// A certificate and its key, as files of this name.
    pub(super) fn issue(&self, file: &str, leaf: &Leaf<'_>) -> OwnFiles {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(leaf).signed_by(&key, &self.issuer).expect("signs");
        write(&self.dir, file, &certificate.pem(), &key)
    }
}

/// One that nobody signed but itself.
pub(super) fn self_signed(dir: &Path, file: &str, leaf: &Leaf<'_>) -> OwnFiles {
    let key = KeyPair::generate().expect("a key");
    let certificate = params(leaf).self_signed(&key).expect("signs");
    write(dir, file, &certificate.pem(), &key)
}

fn params(leaf: &Leaf<'_>) -> CertificateParams {
    let names: Vec<String> = leaf.names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("parameters");
    params.extended_key_usages = match leaf.purpose {
        Some(Purpose::Server) => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Some(Purpose::Client) => vec![ExtendedKeyUsagePurpose::ClientAuth],
        None => Vec::new(),
    };
    params.not_before = date_time_ymd(leaf.from.0, leaf.from.1, 1);
    params.not_after = date_time_ymd(leaf.to.0, leaf.to.1, 1);
    params
}

fn write(dir: &Path, file: &str, certificate: &str, key: &KeyPair) -> OwnFiles {
    let files = OwnFiles {
        cert: dir.join(format!("{file}.pem")),
        key: dir.join(format!("{file}.key")),
    };
    fs::write(&files.cert, certificate).expect("writes");
    fs::write(&files.key, key.serialize_pem()).expect("writes");
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).expect("sets the mode");
    files
}
