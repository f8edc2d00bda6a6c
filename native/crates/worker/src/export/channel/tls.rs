//! A TLS session over a non-blocking socket.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustls::Connection;
use tickdeck_export::auth::{EXPORTER_LEN, Transport};

use crate::export::tls::{EXPORTER_LABEL, names};

/// Bytes that a session may hold for a socket that does not take them.
const BUFFER_LIMIT: usize = 64 * 1024;

/// The session, and the socket it goes over.
#[derive(Debug)]
pub(crate) struct TlsChannel {
    socket: TcpStream,
    session: Connection,
    /// Known, and looked at, as soon as the handshake is done.
    transport: Option<Transport>,
    /// The session may have more to read than the socket shows.
    has_pending: bool,
}

impl TlsChannel {
    pub(super) fn new(socket: TcpStream, mut session: Connection) -> Self {
        session.set_buffer_limit(Some(BUFFER_LIMIT));
        Self {
            socket,
            session,
            transport: None,
            has_pending: false,
        }
    }

    pub(super) fn transport(&self) -> io::Result<Option<Transport>> {
        Ok(self.transport.clone())
    }

    /// Goes on with the handshake, as far as it comes.
    pub(super) fn handshake(&mut self) -> io::Result<()> {
        while self.transport.is_none() {
            match self.step() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                result => result?,
            }
        }
        // The last flight of the side that ends it.
        self.flush().map(|_| ())
    }

    pub(super) fn has_pending(&self) -> bool {
        self.has_pending
    }

    /// Reads what the peer said, whatever of the handshake is due on the way.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.transport.is_some() {
                match self.session.reader().read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => {
                        self.has_pending = true;
                        return result;
                    }
                }
            }
            self.has_pending = false;
            self.step()?;
        }
    }

    /// One piece of what the peer sent.
    fn step(&mut self) -> io::Result<()> {
        self.flush()?;
        let is_end = self.session.read_tls(&mut self.socket)? == 0;
        if let Err(error) = self.session.process_new_packets() {
            return Err(self.refuse(error));
        }
        self.settle()?;
        self.has_pending = self.transport.is_some();
        if is_end && self.transport.is_none() {
            let text = "the peer left during the TLS handshake";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        Ok(())
    }

    /// Encrypts a part; nothing before the peer is verified.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.transport.is_none() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match self.session.writer().write(bytes)? {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            length => {
                self.flush()?;
                Ok(length)
            }
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    pub(super) fn wants_write(&self, has_output: bool) -> bool {
        self.session.wants_write() || (has_output && self.transport.is_some())
    }

    pub(super) fn close_write(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.flush()?;
        self.socket.shutdown(Shutdown::Write)
    }

    /// Takes down who the peer is once the handshake is done.
    fn settle(&mut self) -> io::Result<()> {
        if self.transport.is_some() || self.session.is_handshaking() {
            return Ok(());
        }
        let certificate = self.session.peer_certificates().and_then(<[_]>::first);
        // Without a certificate nobody is named, and a key has to prove who it is.
        let names = certificate.map_or_else(Vec::new, names);
        if certificate.is_some() && names.is_empty() {
            let text = "the peer's certificate names nobody (no DNS name, URI or address)";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let exporter = self
            .session
            .export_keying_material([0; EXPORTER_LEN], EXPORTER_LABEL, None)
            .map_err(io::Error::other)?;
        self.transport = Some(Transport::Tls { names, exporter });
        Ok(())
    }

    /// Tells the peer why, as far as it takes it, and gives the reason.
    fn refuse(&mut self, error: rustls::Error) -> io::Error {
        let text = match self.flush() {
            Ok(_) => format!("TLS: {error}"),
            Err(unsent) => format!("TLS: {error}; the peer could not be told: {unsent}"),
        };
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}

impl AsFd for TlsChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
