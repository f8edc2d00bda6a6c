//! The command line, and what it means.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use rustls::time_provider::DefaultTimeProvider;
use tickdeck_export::auth::ClientId;
use tickdeck_export::message::{Guarantee, Start};

use super::link::{Side, Tls};
use crate::exit::{Code, Failure};
use crate::export::keys::KeyFile;
use crate::export::tls::{OwnFiles, TlsAcceptor, TlsDialer};
use crate::spec::export::Endpoint;

/// Arguments of `subscribe`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SubscribeArgs {
    /// The exporter: HOST:PORT or unix:/PATH.
    #[arg(long, value_name = "ENDPOINT", required_unless_present = "listen")]
    connect: Option<String>,
    /// Wait here for an exporter that dials: ADDRESS:PORT or unix:/PATH.
    #[arg(long, value_name = "ENDPOINT", conflicts_with = "connect")]
    listen: Option<String>,
    /// Our name; without one nothing is retained for us.
    #[arg(long)]
    client: Option<String>,
    /// File with our key, mode 0600, one line: client key.
    #[arg(long, requires = "client")]
    key: Option<PathBuf>,
    /// PEM file: whose certificates we trust.
    #[arg(long)]
    tls_ca: Option<PathBuf>,
    /// PEM file: our certificate and its issuers.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file, mode 0600: the key of our certificate.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The name in the exporter's certificate, when it is not the host that is dialled. Who listens with
    /// TLS and without --key needs it: others have certificates of the same authority, too.
    #[arg(long, requires = "tls_ca")]
    server_name: Option<String>,
    /// Where the position is kept.
    #[arg(long)]
    state: PathBuf,
    /// Where to begin without a position: EARLIEST, LIVE or a sequence.
    #[arg(long, default_value = "EARLIEST")]
    from: String,
    /// What a record must be before it is sent.
    #[arg(long, value_enum, default_value_t = Safety::Durable)]
    guarantee: Safety,
    /// Stop after so many records.
    #[arg(long)]
    count: Option<u64>,
    /// Keep the blocks in this directory instead of printing records.
    #[arg(long, value_name = "DIR", conflicts_with = "count")]
    into: Option<PathBuf>,
    /// Print one JSON object per line.
    #[arg(long)]
    json: bool,
    /// Bytes that may be on the way.
    #[arg(long, default_value_t = 8 << 20)]
    window_bytes: u32,
    /// Time for a connection and everything before its data, ms.
    #[arg(long, default_value_t = 3_000)]
    connect_timeout_ms: u64,
    /// The shortest wait before the next try, ms.
    #[arg(long, default_value_t = 100)]
    reconnect_backoff_ms: u64,
}

/// What a record must be before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Safety {
    /// Synced: no power cut takes it back.
    Durable,
    /// Written: sooner; a power cut may take it back, and the copy is cut then.
    Written,
}

/// What is to be done, checked.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) side: Side,
    pub(super) tls: Tls,
    pub(super) client: Option<ClientId>,
    pub(super) keys: Option<KeyFile>,
    pub(super) state: PathBuf,
    pub(super) start: Start,
    pub(super) guarantee: Guarantee,
    pub(super) count: Option<u64>,
    pub(super) into: Option<PathBuf>,
    pub(super) json: bool,
    pub(super) window_bytes: u32,
    pub(super) connect_timeout_ms: u64,
    pub(super) reconnect_backoff_ms: u64,
}

impl SubscribeArgs {
    /// Reads the files that are named and refuses what could not be safe.
    pub(super) fn plan(&self) -> Result<Plan, Failure> {
        let client = match &self.client {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|error| config(format!("--client {text:?}: {error}")))?,
            ),
        };
        let keys = match &self.key {
            None => None,
            Some(path) => {
                Some(KeyFile::open(path).map_err(|error| config(format!("--key {error}")))?)
            }
        };
        if let (Some(keys), Some(client)) = (&keys, &client)
            && keys.keys().current(client).is_none()
        {
            return Err(config(format!("--key: no line of {client} in it")));
        }
        let (side, tls) = self.side()?;
        Ok(Plan {
            side,
            tls,
            client,
            keys,
            state: self.state.clone(),
            start: start(&self.from)?,
            guarantee: match self.guarantee {
                Safety::Durable => Guarantee::Durable,
                Safety::Written => Guarantee::Written,
            },
            count: self.count,
            into: self.into.clone(),
            json: self.json,
            window_bytes: self.window_bytes,
            connect_timeout_ms: self.connect_timeout_ms,
            reconnect_backoff_ms: self.reconnect_backoff_ms,
        })
    }

    fn side(&self) -> Result<(Side, Tls), Failure> {
        let (text, dials) = match (&self.connect, &self.listen) {
            (Some(text), _) => (text, true),
            (None, Some(text)) => (text, false),
            (None, None) => return Err(config("--connect or --listen is missing")),
        };
        let endpoint = Endpoint::try_from(text.clone()).map_err(config)?;
        let tls = self.tls(&endpoint, dials)?;
        if !endpoint.is_local() && matches!(tls, Tls::Off) {
            return Err(config(format!(
                "{endpoint} is beyond this host: nothing goes there in clear text; --connect needs \
                 --tls-ca, --listen needs --tls-cert and --tls-key"
            )));
        }
        let side = if dials {
            Side::Dials(endpoint)
        } else {
            Side::Listens(endpoint)
        };
        Ok((side, tls))
    }

    fn tls(&self, endpoint: &Endpoint, dials: bool) -> Result<Tls, Failure> {
        let own = self.tls_cert.clone().zip(self.tls_key.clone());
        let own = own.map(|(cert, key)| OwnFiles { cert, key });
        let clock = Arc::new(DefaultTimeProvider);
        let (Endpoint::Tcp(host, _), true) = (endpoint, own.is_some() || self.tls_ca.is_some())
        else {
            return Ok(Tls::Off);
        };
        match (dials, &self.tls_ca, own) {
            (true, Some(ca), own) => {
                let name = self.server_name.clone().unwrap_or_else(|| host.clone());
                let name = name
                    .clone()
                    .try_into()
                    .map_err(|error| config(format!("--server-name {name:?}: {error}")))?;
                let dialer = TlsDialer::open(ca.clone(), own, clock).map_err(config)?;
                Ok(Tls::Dials(dialer, name))
            }
            (true, None, _) => Err(config("--tls-cert without --tls-ca: whom are we to trust?")),
            (false, ca, Some(own)) => {
                let name = self.server_name.clone();
                if self.key.is_none() && name.is_none() {
                    return Err(config(
                        "--listen with TLS needs --key, or --tls-ca and --server-name with the name \
                         in the exporter's certificate: nothing else tells it from other clients",
                    ));
                }
                let acceptor = TlsAcceptor::open(own, ca.clone(), clock).map_err(config)?;
                Ok(Tls::Accepts(acceptor, name))
            }
            (false, _, None) => Err(config("--listen with TLS needs --tls-cert and --tls-key")),
        }
    }
}

fn start(text: &str) -> Result<Start, Failure> {
    match text {
        "EARLIEST" => Ok(Start::Earliest),
        "LIVE" => Ok(Start::Live),
        text => match text.parse() {
            Ok(seq) if seq > 0 => Ok(Start::Seq(seq)),
            _ => Err(config(format!(
                "--from {text:?} is not EARLIEST, LIVE or a sequence from 1"
            ))),
        },
    }
}

pub(super) fn config(error: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Config, error.to_string())
}
