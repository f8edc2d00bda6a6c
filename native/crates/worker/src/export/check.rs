//! `tickdeck-journal export --check`: whether the files that a spec names can be used, as JSON. Nothing
//! is started, bound or dialled, and nothing of a secret is shown.

use std::path::Path;
use std::sync::Arc;

use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use serde_json::{Value, json};

use super::keys::KeyFile;
use super::tls::{self, OwnFiles, TlsAcceptor};
use crate::exit::{Code, Failure};
use crate::journal::answer;
use crate::spec::{Kind, Spec, TcpExport};

/// What is known of a file that can be used: seconds until it expires, for certificates.
type Good = Option<i64>;

/// Prints `{"files":[{"setting":…,"path":…,"error":…,"expires_s":…}]}`: `error` is null for a file
/// that can be used, `expires_s` for all but certificates. The exit code is 0 also with errors.
pub(super) fn run(spec: &Path) -> Result<Code, Failure> {
    let spec = Spec::load(spec, Kind::Export)?;
    answer(
        true,
        &json!({"files": files(&spec.exchange.tcp_export)}),
        "",
    )?;
    Ok(Code::Clean)
}

fn files(export: &TcpExport) -> Vec<Value> {
    let clock: Arc<dyn TimeProvider> = Arc::new(DefaultTimeProvider);
    let mut rows = Vec::new();
    if let Some(path) = &export.auth_token {
        let good = KeyFile::open(path)
            .map(|_| None)
            .map_err(|error| error.to_string());
        rows.push(row("auth_token", path, &good));
    }
    let certificate = export
        .tls_cert
        .as_deref()
        .map(|path| (path, certificate(path, &clock)));
    if let Some((path, good)) = &certificate {
        rows.push(row("tls_cert", path, good));
    }
    if let Some(path) = &export.tls_key {
        // A certificate that cannot be used says nothing of the key.
        let beside = certificate.and_then(|(path, good)| good.is_ok().then_some(path));
        rows.push(row("tls_key", path, &key(path, beside, clock.clone())));
    }
    if let Some(path) = &export.tls_client_ca {
        let good = tls::authorities_expire_s(path, clock.as_ref());
        let good = good.map(Some).map_err(|error| error.to_string());
        rows.push(row("tls_client_ca", path, &good));
    }
    rows
}

fn certificate(path: &Path, clock: &Arc<dyn TimeProvider>) -> Result<Good, String> {
    tls::certificate_expires_s(path, clock.as_ref())
        .map(Some)
        .map_err(|error| error.to_string())
}

/// Whether the key can be read, and is that of the certificate.
fn key(
    path: &Path,
    certificate: Option<&Path>,
    clock: Arc<dyn TimeProvider>,
) -> Result<Good, String> {
    tls::check_key(path).map_err(|error| error.to_string())?;
    let Some(certificate) = certificate else {
        return Ok(None);
    };
    let own = OwnFiles {
        cert: certificate.to_owned(),
        key: path.to_owned(),
    };
    match TlsAcceptor::open(own, None, clock) {
        Ok(_) => Ok(None),
        Err(error) => Err(format!(
            "{}: not the key of that certificate: {error}",
            path.display()
        )),
    }
}

fn row(setting: &str, path: &Path, good: &Result<Good, String>) -> Value {
    json!({
        "setting": setting,
        "path": path,
        "error": good.as_ref().err(),
        "expires_s": good.as_ref().ok().copied().flatten(),
    })
}
