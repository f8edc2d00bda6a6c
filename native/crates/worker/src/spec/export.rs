//! The exporter's part of the spec: who may read the journal from elsewhere, and how.
//!
//! What would be open to others is refused here, whoever wrote the spec: beyond the loopback
//! nothing goes without TLS, and without any proof only over a Unix socket, whose peer the kernel
//! names.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// Settings of the exporter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpExport {
    /// Whether the exchange has an exporter.
    pub enabled: bool,
    /// Who dials.
    pub mode: ExportMode,
    /// Where to listen, for [`ExportMode::Listen`]; port 0: any free one.
    pub addr: Option<Endpoint>,
    /// Whom to dial, first choice first, for [`ExportMode::Connect`].
    pub collectors: Vec<Endpoint>,
    /// File with the HMAC keys, of mode 0600; never the key itself.
    pub auth_token: Option<PathBuf>,
    /// Own certificate chain, PEM.
    pub tls_cert: Option<PathBuf>,
    /// Key of that certificate, PEM.
    pub tls_key: Option<PathBuf>,
    /// Authority that signed the other side's certificate, PEM: a listener's subscribers, or the
    /// collectors that are dialled.
    pub tls_client_ca: Option<PathBuf>,
    /// Names (SAN) of certificates that are refused though they verify.
    pub tls_revoked: Vec<String>,
    /// How long a connection may take to be made.
    pub connect_timeout_ms: u64,
    /// A peer that takes nothing for so long is cut.
    pub write_timeout_ms: u64,
    /// Before the first redial; grows with full jitter to 10 s.
    pub reconnect_backoff_ms: u64,
    /// Subscribers at a time.
    pub max_subscribers: usize,
    /// Most bytes in flight that a subscriber's window may ask for.
    pub channel_capacity: u64,
    /// True: a full window waits for acknowledgements. False: [`Self::slow_policy`] acts at once.
    pub backpressure_on_full: bool,
    /// What is done with a slow subscriber that has no table of its own.
    pub slow_policy: SlowPolicy,
    /// Slow: so many bytes behind ...
    pub lag_soft_bytes: u64,
    /// ... for so long.
    pub lag_soft_ms: u64,
    /// Slow at once: so many bytes behind.
    pub lag_hard_bytes: u64,
    /// Slow at once: so long behind.
    pub lag_hard_ms: u64,
    /// Unknown subscribers may ask for what is written and not yet durable.
    pub allow_written: bool,
    /// Time between two heartbeats.
    pub heartbeat_ms: u64,
    /// A peer silent for so long is cut.
    pub heartbeat_timeout_ms: u64,
    /// Subscribers with rules of their own.
    pub subscribers: Vec<ExportSubscriber>,
}

/// Who dials.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ExportMode {
    /// Subscribers dial the exporter.
    Listen,
    /// The exporter dials a collector.
    Connect,
}

/// What is done with a subscriber that is too far behind; none of these slows the journal.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SlowPolicy {
    /// It is cut, with the reason.
    Disconnect,
    /// It is told a gap and goes on at the end.
    SkipToLive,
    /// It keeps its place, within the caps of its pin.
    Retain,
}

/// A subscriber with rules of its own.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ExportSubscriber {
    /// Name that the subscriber proves.
    pub id: String,
    /// What is done when it is slow.
    pub slow_policy: SlowPolicy,
    /// Its pin holds at most so many bytes; 0: no limit.
    pub retain_max_bytes: u64,
    /// Its pin holds records of at most this age; 0: no limit.
    pub retain_max_age_s: u64,
    /// It may ask for what is written and not yet durable.
    pub allow_written: bool,
    /// Connections at a time.
    pub max_connections: usize,
}

/// An address of an exporter or a collector: `host:port`, `[v6]:port` or `unix:/path`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub enum Endpoint {
    /// Host, by address or by name, and port.
    Tcp(String, u16),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Whether nobody beyond this host can be on the other side. A name is never taken for that:
    /// it may come to mean another address.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(host, _) => host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
            Self::Unix(_) => true,
        }
    }

    /// Whether the kernel tells who the peer is.
    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no \"host:port\" and no \"unix:/path\"");
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Self::Unix(path.into())),
                false => Err(wrong()),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bare = host.strip_prefix('[').and_then(|v6| v6.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        if host.is_empty() || (host.contains(':') && bare.is_none()) {
            return Err(wrong());
        }
        Ok(Self::Tcp(host.to_owned(), port))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl TcpExport {
    /// What the types cannot hold: an address for the mode, keys that belong together, and no way
    /// in without proof.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err("tcp_export.tls_cert and tls_key belong together".to_owned());
        }
        if !self.tls_revoked.is_empty() && self.tls_client_ca.is_none() {
            return Err("tcp_export.tls_revoked needs tls_client_ca".to_owned());
        }
        let mut ids = BTreeSet::new();
        for subscriber in &self.subscribers {
            if !is_client_id(&subscriber.id) || !ids.insert(&subscriber.id) {
                return Err(format!(
                    "tcp_export.subscribers: id {:?} must be 1 to 64 of A-Z, a-z, 0-9, \".\", \
                     \"_\" and \"-\", begin with a letter or digit, and be there once",
                    subscriber.id
                ));
            }
            if subscriber.slow_policy == SlowPolicy::Retain && subscriber.max_connections > 1 {
                return Err(format!(
                    "tcp_export.subscribers: {:?} is retained for, with one pin; it needs \
                     max_connections 1",
                    subscriber.id
                ));
            }
        }
        self.check_places()
    }

    fn check_places(&self) -> Result<(), String> {
        match self.mode {
            ExportMode::Listen if !self.collectors.is_empty() => {
                Err("tcp_export.collectors is for mode \"connect\"".to_owned())
            }
            ExportMode::Connect if self.addr.is_some() => {
                Err("tcp_export.addr is for mode \"listen\"; name collectors".to_owned())
            }
            ExportMode::Listen => match &self.addr {
                Some(addr) => self.check_listener(addr),
                None if self.enabled => Err("tcp_export.addr is missing".to_owned()),
                None => Ok(()),
            },
            ExportMode::Connect if self.enabled && self.collectors.is_empty() => {
                Err("tcp_export.collectors is empty".to_owned())
            }
            ExportMode::Connect => {
                let mut collectors = self.collectors.iter();
                collectors.try_for_each(|collector| self.check_collector(collector))
            }
        }
    }

    fn check_listener(&self, addr: &Endpoint) -> Result<(), String> {
        if !addr.is_local() && self.tls_cert.is_none() {
            return Err(format!(
                "tcp_export.addr {addr} is reached from elsewhere; it needs tls_cert and tls_key"
            ));
        }
        if self.tls_client_ca.is_some() && self.tls_cert.is_none() {
            return Err("tcp_export.tls_client_ca needs tls_cert and tls_key".to_owned());
        }
        if !addr.is_unix() && self.auth_token.is_none() && self.tls_client_ca.is_none() {
            return Err(format!(
                "tcp_export.addr {addr} is open to anybody; it needs auth_token or tls_client_ca"
            ));
        }
        Ok(())
    }

    fn check_collector(&self, collector: &Endpoint) -> Result<(), String> {
        if !collector.is_local() && self.tls_client_ca.is_none() {
            return Err(format!(
                "tcp_export.collectors: {collector} is elsewhere; it needs tls_client_ca, to \
                 verify it before anything is sent"
            ));
        }
        if !collector.is_unix() && self.auth_token.is_none() && self.tls_client_ca.is_none() {
            return Err(format!(
                "tcp_export.collectors: {collector} could be anybody; it needs auth_token or \
                 tls_client_ca"
            ));
        }
        Ok(())
    }
}

/// Whether a subscriber may be called so; the name is part of a file's name, so nothing else goes.
pub fn is_client_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&id.len())
        && id.as_bytes()[0].is_ascii_alphanumeric()
        && id.bytes().all(is_plain)
}
