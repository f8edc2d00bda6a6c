//! Which proof a connection needs, in the order of preference of RELIABILITY section 9:
//!
//! | Transport | Keys | Proof |
//! | --- | --- | --- |
//! | TLS, client certificate | none | the certificate: the client is one of its names |
//! | TLS, client certificate | set | certificate and MAC, both of the same client |
//! | TLS | set | MAC over the TLS session |
//! | TLS | none | refused: nobody could be told from anybody |
//! | Unix socket | none | the kernel: our own user, or root |
//! | Unix socket | set | MAC |
//! | clear text, loopback | set | MAC |
//! | clear text, loopback | none | refused |
//! | clear text, elsewhere | any | refused |

use std::sync::Arc;

use super::client_id::ClientId;
use super::keyring::{Keyring, Verdict};
use super::mac::{Mac, Transcript};
use crate::authenticator::{Authenticator, Identity, Method, Refusal};
use crate::message::{Auth, MAC_LEN};

/// Bytes of the exporter value.
pub const EXPORTER_LEN: usize = 32;

/// What lies below the protocol, and what it says of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS 1.3.
    Tls {
        /// The alternative names of the peer's verified certificate; empty when it showed none.
        names: Vec<String>,
        /// The exporter value (RFC 8446 section 7.5), label `EXPORTER-tickdeck1`.
        exporter: [u8; EXPORTER_LEN],
    },
    /// A Unix socket.
    Unix {
        /// The peer's user, from the kernel.
        uid: u32,
        /// That is our own, or root.
        is_ours: bool,
    },
    /// TCP without TLS.
    Clear {
        /// Both ends are on this host.
        is_loopback: bool,
    },
}

impl Transport {
    /// What proofs are bound to.
    #[must_use]
    pub fn exporter(&self) -> &[u8] {
        match self {
            Self::Tls { exporter, .. } => exporter,
            Self::Unix { .. } | Self::Clear { .. } => &[],
        }
    }
}

/// Judges one connection. There is no way to make one that lets everybody in.
#[derive(Debug)]
pub struct Gate {
    transport: Transport,
    keys: Option<Arc<Keyring>>,
    revoked: Arc<[String]>,
}

impl Gate {
    /// The gate of a connection; `revoked` are names that are refused whatever they prove.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when nobody could prove anything over this transport.
    pub fn new(
        transport: Transport,
        keys: Option<Arc<Keyring>>,
        revoked: Arc<[String]>,
    ) -> Result<Self, Refusal> {
        match (&transport, &keys) {
            (Transport::Clear { is_loopback: false }, _) => {
                return refuse("clear text off loopback; set tls_cert and tls_key");
            }
            (Transport::Clear { .. }, None) => {
                return refuse("no keys and no TLS; set auth_token, or use a Unix socket");
            }
            (Transport::Tls { names, .. }, None) if names.is_empty() => {
                return refuse("no client certificate with a name, and no keys");
            }
            (
                Transport::Unix {
                    uid,
                    is_ours: false,
                },
                None,
            ) => {
                return refuse(format!("uid {uid} is neither ours nor root"));
            }
            _ => {}
        }
        if let Transport::Tls { names, .. } = &transport
            && let Some(name) = names.iter().find(|name| revoked.contains(name))
        {
            return refuse(format!("the certificate's name {name:?} is revoked"));
        }
        Ok(Self {
            transport,
            keys,
            revoked,
        })
    }

    /// A client that shows a certificate is one of the names in it, and nobody revoked.
    fn check_name(&self, client: &ClientId) -> Result<(), Refusal> {
        if self.revoked.iter().any(|name| name == client.as_str()) {
            return refuse(format!("{client} is revoked"));
        }
        match &self.transport {
            Transport::Tls { names, .. }
                if !names.is_empty() && !names.iter().any(|name| name == client.as_str()) =>
            {
                refuse(format!("{client} is no name of the certificate {names:?}"))
            }
            _ => Ok(()),
        }
    }
}

impl Authenticator for Gate {
    fn method(&self) -> Method {
        match self.keys {
            Some(_) => Method::Hmac,
            None => Method::Transport,
        }
    }

    fn judge(
        &mut self,
        hello: &[u8],
        signed: &[u8],
        auth: &Auth,
        session: u64,
    ) -> Result<(Identity, Mac), Refusal> {
        let name = auth.client.clone();
        if let Some(client) = &name {
            self.check_name(client)?;
        }
        let Some(keys) = &self.keys else {
            if name.is_none() && matches!(self.transport, Transport::Tls { .. }) {
                return refuse("no client id: a certificate is that of a client");
            }
            // The transport has proved all there is; a MAC here means that the client was told
            // another method.
            let none = Mac::new([0; MAC_LEN]);
            return if Mac::new(auth.mac).matches(&none) {
                Ok((Identity { name }, none))
            } else {
                refuse("a MAC where none was asked for: HELLO was changed on the way")
            };
        };
        let Some(client) = &name else {
            return refuse("no client id: a MAC is that of a client");
        };
        let said = Transcript {
            hello,
            auth: signed,
            exporter: self.transport.exporter(),
        };
        match keys.verify(client, &said, &Mac::new(auth.mac)) {
            Verdict::Proved(key) => {
                let proof = said.server_mac(key, session);
                Ok((Identity { name }, proof))
            }
            Verdict::Unknown => refuse(format!("no key of {client}")),
            Verdict::WrongMac => refuse(format!("wrong MAC of {client}")),
        }
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        reason: reason.into(),
    })
}
