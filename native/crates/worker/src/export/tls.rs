//! TLS 1.3 of the export: who accepts ([`TlsAcceptor`]) and who dials ([`TlsDialer`]).
//!
//! - Only version 1.3, no resumption (a resumed session would outlive the certificate that it was
//!   begun with), no early data. The protocol's name is agreed by ALPN.
//! - The peer's certificate is verified before any byte of the protocol is sent: chain, validity,
//!   purpose (EKU), and for a server its name. Whose names are revoked, the gate of the protocol knows.
//! - A reload swaps what the *next* session is begun with; sessions that are there go on.
//! - An own certificate that has expired, or is not valid yet, begins no session. There is no way to go
//!   on without.

mod certificate;
pub(super) mod expiry;

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

pub(crate) use self::certificate::{Validity, names};
pub(crate) use self::expiry::ExpiryWatch;
use super::keys::{MAX_BYTES, SecretError, read_secret};

/// The label of the exporter value that proofs are bound to (RFC 8446 section 7.5).
pub(crate) const EXPORTER_LABEL: &[u8] = b"EXPORTER-tickdeck1";
/// What ALPN calls the protocol.
const ALPN: &[u8] = b"tickdeck/1";

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub(crate) struct OwnFiles {
    /// PEM, the own certificate first, then its issuers.
    pub(crate) cert: PathBuf,
    /// PEM, mode 0600.
    pub(crate) key: PathBuf,
}

/// Why there is no TLS session. Texts never show a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// The key file cannot be used.
    #[error("TLS key {0}")]
    Key(#[from] SecretError),
    /// A file of certificates cannot be read.
    #[error("{path}: {problem}; a file of PEM certificates is needed")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// Key and certificate do not fit, or a certificate cannot be used.
    #[error("{path}: {problem}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The own certificate is not valid at this time.
    #[error("{path}: {problem}; no session is begun with it: put a valid one there and reload")]
    NotValid {
        /// The file.
        path: PathBuf,
        /// `expired 5 s ago` or `not valid before 5 s from now`.
        problem: String,
    },
    /// The socket below it.
    #[error("{0}")]
    Socket(io::Error),
    /// The session itself.
    #[error("TLS: {0}")]
    Session(#[from] rustls::Error),
}

/// The side that is connected to: a certificate of its own, and maybe demands one of the peer.
#[derive(Debug)]
pub(crate) struct TlsAcceptor {
    own: OwnFiles,
    client_ca: Option<PathBuf>,
    clock: Arc<dyn TimeProvider>,
    loaded: Mutex<(Arc<ServerConfig>, Validity)>,
}

impl TlsAcceptor {
    /// Reads the files. With `client_ca`, a client without a certificate from there is refused.
    pub(crate) fn open(
        own: OwnFiles,
        client_ca: Option<PathBuf>,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Self, TlsError> {
        let loaded = load_server(&own, client_ca.as_deref(), &clock)?;
        Ok(Self {
            own,
            client_ca,
            clock,
            loaded: Mutex::new(loaded),
        })
    }

    /// Reads the files again; on an error what was there stays in force.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let loaded = load_server(&self.own, self.client_ca.as_deref(), &self.clock)?;
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// Begins a session.
    pub(crate) fn accept(&self) -> Result<ServerConnection, TlsError> {
        let (config, validity) = self.in_force();
        check_validity(&self.own.cert, &validity, self.clock.as_ref())?;
        Ok(ServerConnection::new(config)?)
    }

    /// Seconds until the own certificate expires; negative behind that.
    pub(crate) fn expires_s(&self) -> i64 {
        self.in_force().1.expires_s(now_s(self.clock.as_ref()))
    }

    fn in_force(&self) -> (Arc<ServerConfig>, Validity) {
        self.loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The side that connects: it verifies the name and the certificate it meets, and may show its own.
#[derive(Debug)]
pub(crate) struct TlsDialer {
    ca: PathBuf,
    own: Option<OwnFiles>,
    clock: Arc<dyn TimeProvider>,
    loaded: Mutex<(Arc<ClientConfig>, Option<Validity>)>,
}

impl TlsDialer {
    /// Reads the files: `ca` has whom a server's certificate must come from.
    pub(crate) fn open(
        ca: PathBuf,
        own: Option<OwnFiles>,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Self, TlsError> {
        let loaded = load_client(&ca, own.as_ref(), &clock)?;
        Ok(Self {
            ca,
            own,
            clock,
            loaded: Mutex::new(loaded),
        })
    }

    /// Reads the files again; on an error what was there stays in force.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let loaded = load_client(&self.ca, self.own.as_ref(), &self.clock)?;
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// Begins a session with the server of this name.
    pub(crate) fn dial(&self, server: ServerName<'static>) -> Result<ClientConnection, TlsError> {
        let (config, validity) = self.in_force();
        if let (Some(own), Some(validity)) = (&self.own, validity) {
            check_validity(&own.cert, &validity, self.clock.as_ref())?;
        }
        Ok(ClientConnection::new(config, server)?)
    }

    /// Seconds until the own certificate expires, if there is one.
    pub(crate) fn expires_s(&self) -> Option<i64> {
        let now_s = now_s(self.clock.as_ref());
        self.in_force().1.map(|validity| validity.expires_s(now_s))
    }

    fn in_force(&self) -> (Arc<ClientConfig>, Option<Validity>) {
        self.loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Seconds until the certificate of a file expires, which is valid now.
pub(super) fn certificate_expires_s(
    path: &Path,
    clock: &dyn TimeProvider,
) -> Result<i64, TlsError> {
    let (_, validity) = chain(path)?;
    check_validity(path, &validity, clock)?;
    Ok(validity.expires_s(now_s(clock)))
}

/// Seconds until the last of some authorities expires; one at least is valid now.
pub(super) fn authorities_expire_s(path: &Path, clock: &dyn TimeProvider) -> Result<i64, TlsError> {
    roots(path)?;
    let found = certificates(path)?;
    let mut last = None;
    for validity in found.iter().filter_map(certificate::validity) {
        let better = last.is_none_or(|last: Validity| last.not_after_s < validity.not_after_s);
        last = if better { Some(validity) } else { last };
    }
    let last = last.ok_or_else(|| unusable(path, &"no certificate can be read"))?;
    check_validity(path, &last, clock)?;
    Ok(last.expires_s(now_s(clock)))
}

/// Whether a key can be read.
pub(super) fn check_key(path: &Path) -> Result<(), TlsError> {
    private_key(path).map(|_| ())
}

fn load_server(
    own: &OwnFiles,
    client_ca: Option<&Path>,
    clock: &Arc<dyn TimeProvider>,
) -> Result<(Arc<ServerConfig>, Validity), TlsError> {
    let (chain, validity) = chain(&own.cert)?;
    let builder = ServerConfig::builder_with_details(provider(), Arc::clone(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(roots(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                .build()
                .map_err(|error| unusable(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, private_key(&own.key)?)
        .map_err(|error| unusable(&own.cert, &error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((Arc::new(config), validity))
}

fn load_client(
    ca: &Path,
    own: Option<&OwnFiles>,
    clock: &Arc<dyn TimeProvider>,
) -> Result<(Arc<ClientConfig>, Option<Validity>), TlsError> {
    let builder = ClientConfig::builder_with_details(provider(), Arc::clone(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(ca)?);
    let (mut config, validity) = match own {
        None => (builder.with_no_client_auth(), None),
        Some(own) => {
            let (chain, validity) = chain(&own.cert)?;
            let config = builder
                .with_client_auth_cert(chain, private_key(&own.key)?)
                .map_err(|error| unusable(&own.cert, &error))?;
            (config, Some(validity))
        }
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok((Arc::new(config), validity))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The certificates of a file and the time that the first one is valid.
fn chain(path: &Path) -> Result<(Vec<CertificateDer<'static>>, Validity), TlsError> {
    let chain = certificates(path)?;
    match certificate::validity(&chain[0]) {
        Some(validity) => Ok((chain, validity)),
        None => Err(unusable(path, &"the first certificate cannot be read")),
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(path, &error))?;
    }
    Ok(roots)
}

/// At least one certificate.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |problem: String| TlsError::Certificates {
        path: path.to_owned(),
        problem,
    };
    let text = read_bounded(path).map_err(|error| bad(error.to_string()))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() {
        return Err(bad("no certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// Never waits for a pipe's other end, and takes no more than a file of certificates has.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    if file.take(MAX_BYTES + 1).read_to_end(&mut text)? as u64 > MAX_BYTES {
        return Err(io::Error::other("more than 1 MiB"));
    }
    Ok(text)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read_secret(path)?;
    // The error is replaced: it could show what is in the file.
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| unusable(path, &"no PEM private key (PKCS #8, SEC1 or PKCS #1) in it"))
}

fn unusable(path: &Path, problem: &dyn std::fmt::Display) -> TlsError {
    TlsError::Unusable {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

fn check_validity(
    path: &Path,
    validity: &Validity,
    clock: &dyn TimeProvider,
) -> Result<(), TlsError> {
    validity
        .check(now_s(clock))
        .map_err(|problem| TlsError::NotValid {
            path: path.to_owned(),
            problem,
        })
}

/// A clock that cannot be read is as late as can be: nothing is valid then.
fn now_s(clock: &dyn TimeProvider) -> i64 {
    clock
        .current_time()
        .and_then(|now| i64::try_from(now.as_secs()).ok())
        .unwrap_or(i64::MAX)
}
