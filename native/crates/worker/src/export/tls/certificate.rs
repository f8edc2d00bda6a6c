//! What we read in certificates beside what rustls verifies: names and validity.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// When a certificate is valid, UTC seconds, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before_s: i64,
    pub(crate) not_after_s: i64,
}

impl Validity {
    /// Seconds until it expires; negative behind that.
    pub(crate) fn expires_s(&self, now_s: i64) -> i64 {
        self.not_after_s.saturating_sub(now_s)
    }

    /// Says why it is not valid at this time.
    pub(crate) fn check(&self, now_s: i64) -> Result<(), String> {
        if now_s > self.not_after_s {
            let ago_s = now_s.saturating_sub(self.not_after_s);
            Err(format!("the certificate expired {ago_s} s ago"))
        } else if now_s < self.not_before_s {
            let wait_s = self.not_before_s - now_s;
            Err(format!(
                "the certificate is not valid before {wait_s} s from now"
            ))
        } else {
            Ok(())
        }
    }
}

/// When the certificate is valid; `None` when it cannot be read.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let validity = parsed.validity();
    Some(Validity {
        not_before_s: validity.not_before.timestamp(),
        not_after_s: validity.not_after.timestamp(),
    })
}

/// The subject alternative names that can name a client: DNS names, URIs and addresses. A
/// certificate that cannot be read names nobody.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(extension)) = parsed.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::URI(text) => Some((*text).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(text)
        .collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
