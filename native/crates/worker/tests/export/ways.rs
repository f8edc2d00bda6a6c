//! Every way between an exporter and a subscriber: who dials, and over what.

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use serde_json::{Value, json};

use crate::papers::Papers;
use crate::peer::{Peer, Socket, dial};
use crate::plant::{Exporter, Plant};

/// Ways to an exporter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A Unix socket that the exporter listens on.
    Unix,
    /// TCP on loopback, proved by HMAC.
    Tcp,
    /// TLS, proved by a client's certificate.
    Tls,
    /// A Unix socket that the exporter dials.
    Dialled,
    /// TLS that the exporter dials; the collector is proved by its certificate.
    DialledTls,
}

/// All of them.
pub(crate) const WAYS: [Way; 5] = [Way::Unix, Way::Tcp, Way::Tls, Way::Dialled, Way::DialledTls];

/// A running exporter and the way to it.
pub(crate) struct Reach {
    pub(crate) exporter: Exporter,
    pub(crate) socket: PathBuf,
    end: End,
}

/// The subscribers' end of the way.
enum End {
    Unix,
    Tcp(u16),
    Tls(u16, Papers),
    Dialled(UnixListener),
    DialledTls(TcpListener, Papers),
}

impl Way {
    /// Whether the exporter dials: then there is one connection at a time.
    pub(crate) fn is_dialled(self) -> bool {
        matches!(self, Self::Dialled | Self::DialledTls)
    }

    pub(crate) fn open(self, plant: &Plant, settings: Value) -> Reach {
        let socket = plant.path("socket");
        let (exporter, end) = match self {
            Self::Unix => (plant.export_on_unix(settings), End::Unix),
            Self::Tcp => {
                let (exporter, port) = plant.export_on_tcp(settings);
                (exporter, End::Tcp(port))
            }
            Self::Tls => {
                let papers = certificates(plant);
                let place = own(&papers, json!({"addr": "127.0.0.1:0"}));
                let mut exporter = plant.export(place, settings);
                let port = exporter.port();
                (exporter, End::Tls(port, papers))
            }
            Self::Dialled => {
                let listener = UnixListener::bind(&socket).expect("binds");
                let collector = format!("unix:{}", socket.display());
                let place = json!({"mode": "connect", "collectors": [collector],
                                   "reconnect_backoff_ms": 1});
                (plant.export(place, settings), End::Dialled(listener))
            }
            Self::DialledTls => {
                let papers = certificates(plant);
                let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
                let port = listener.local_addr().expect("has one").port();
                let place = json!({"mode": "connect", "collectors": [format!("localhost:{port}")],
                                   "reconnect_backoff_ms": 1});
                let exporter = plant.export(own(&papers, place), settings);
                (exporter, End::DialledTls(listener, papers))
            }
        };
        Reach {
            exporter,
            socket,
            end,
        }
    }
}

impl Reach {
    /// A connection of the client `a`.
    pub(crate) fn peer(&self) -> Peer {
        self.peer_of("a")
    }

    /// A connection that can prove to be of this client.
    pub(crate) fn peer_of(&self, client: &str) -> Peer {
        match &self.end {
            End::Unix => Peer::on_unix(&self.socket),
            End::Tcp(port) => Peer::on_tcp(*port, 0x0101),
            End::Tls(port, papers) => {
                let socket = dial(*port, 0x0101).expect("connects");
                let server = ServerName::try_from("localhost").expect("a name");
                let config = Arc::new(client_config(papers, client));
                let session = ClientConnection::new(config, server).expect("a session");
                Peer::over(StreamOwned::new(session, socket))
            }
            End::Dialled(listener) => Peer::over(listener.accept().expect("is dialled").0),
            End::DialledTls(listener, papers) => {
                let (socket, _) = listener.accept().expect("is dialled");
                let config = Arc::new(server_config(papers, client));
                let session = ServerConnection::new(config).expect("a session");
                Peer::over(StreamOwned::new(session, socket))
            }
        }
    }
}

impl Socket for StreamOwned<ClientConnection, TcpStream> {
    fn set_patience(&self, time: Duration) {
        self.sock.set_patience(time);
    }
}

impl Socket for StreamOwned<ServerConnection, TcpStream> {
    fn set_patience(&self, time: Duration) {
        self.sock.set_patience(time);
    }
}

/// Of the server and of the clients `a` to `d`, each of which can be dialled too.
fn certificates(plant: &Plant) -> Papers {
    let papers = Papers::new(plant);
    for client in ["b", "c", "d"] {
        papers.issue(client, &[client, "localhost"]);
    }
    papers
}

/// A place with the exporter's certificate.
fn own(papers: &Papers, mut place: Value) -> Value {
    place["tls_cert"] = json!(papers.arg("server.pem"));
    place["tls_key"] = json!(papers.arg("server.key"));
    place["tls_client_ca"] = json!(papers.arg("ca.pem"));
    place
}

fn client_config(papers: &Papers, client: &str) -> ClientConfig {
    let (chain, key) = certificate(papers, client);
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_root_certificates(roots(papers))
        .with_client_auth_cert(chain, key)
        .expect("a certificate");
    config.alpn_protocols = vec![b"tickdeck/1".to_vec()];
    config
}

fn server_config(papers: &Papers, client: &str) -> ServerConfig {
    let (chain, key) = certificate(papers, client);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(papers).into(), provider());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(chain, key)
        .expect("a certificate");
    config.alpn_protocols = vec![b"tickdeck/1".to_vec()];
    config
}

fn certificate(
    papers: &Papers,
    client: &str,
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let own = CertificateDer::from_pem_file(papers.arg(&format!("{client}.pem")));
    let key = PrivateKeyDer::from_pem_file(papers.arg(&format!("{client}.key")));
    (vec![own.expect("a certificate")], key.expect("a key"))
}

fn roots(papers: &Papers) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(papers.arg("ca.pem")).expect("a certificate");
    roots.add(ca).expect("an authority");
    roots
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
