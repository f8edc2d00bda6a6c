"""Who is who: keys, MACs of both sides, and the TLS session that they are bound to."""

import hashlib
import hmac
import os
import ssl
import stat
import struct
from pathlib import Path

from tickdeck_subscriber.errors import SubscriberError

_LABEL = b"EXPORTER-tickdeck1"


class Key:
    """A client's secret; it prints as nothing."""

    def __init__(self, secret: bytes) -> None:
        """32 random bytes."""
        self._secret = secret

    def __repr__(self) -> str:
        """Nothing of it."""
        return "Key(redacted)"

    def client_mac(self, hello: bytes, auth: bytes, exporter: bytes) -> bytes:
        """Our proof."""
        return self._mac(b"tickdeck1 c", hello, auth, exporter, b"")

    def is_server_mac(
        self, mac: bytes, hello: bytes, auth: bytes, exporter: bytes, session: int
    ) -> bool:
        """Whether the provider has the key too; in constant time."""
        tail = struct.pack("<Q", session)
        return hmac.compare_digest(mac, self._mac(b"tickdeck1 s", hello, auth, exporter, tail))

    def _mac(self, label: bytes, hello: bytes, auth: bytes, exporter: bytes, tail: bytes) -> bytes:
        parts = b"".join(struct.pack("<I", len(p)) + p for p in (hello, auth, exporter))
        return hmac.digest(self._secret, label + parts + tail, "sha256")


def read_key(path: Path, client: str) -> Key:
    """Our key from a key file, which nobody else may read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor) as file:
        found = os.fstat(descriptor)
        is_private = stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o600
        if not is_private or found.st_uid != os.geteuid():
            raise SubscriberError(f"{path}: a key file is ours, with mode 0600: chmod 600 {path}")
        lines = [line.split() for line in file]
    keys = [words[1] for words in lines if len(words) in (2, 3) and words[0] == client]
    try:
        (text,) = keys
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise SubscriberError(
            f"{path}: no line '{client} KEY' with 64 hexadecimal digits"
        ) from None
    return Key(secret)


class TlsContext:
    """What one TLS session is begun with, and the exporter value of that session.

    Python's ``ssl`` does not give exporter values (RFC 8446 section 7.5). The secret that they come
    from is in OpenSSL's key log, which goes to a file without a name, in this process' memory, for
    this one session.
    """

    def __init__(self, ca: Path | str, cert: Path | str | None, key: Path | str | None) -> None:
        """Read the files; ``ca`` has whose certificates are trusted."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.load_verify_locations(ca)
        self.context.set_alpn_protocols(["tickdeck/1"])
        if cert is not None:
            self.context.load_cert_chain(cert, key)
        self._log = os.memfd_create("tickdeck-tls", os.MFD_CLOEXEC)
        self.context.keylog_filename = f"/proc/self/fd/{self._log}"

    def exporter(self, session: ssl.SSLObject) -> bytes:
        """The value for proofs, of the session that was begun with this context."""
        log = os.pread(self._log, 65_536, 0)
        os.ftruncate(self._log, 0)
        secrets = [
            line.split()[2] for line in log.splitlines() if line.startswith(b"EXPORTER_SECRET ")
        ]
        cipher = session.cipher()
        if len(secrets) != 1 or cipher is None:
            raise SubscriberError("this OpenSSL does not log the exporter secret of TLS 1.3")
        digest = "sha384" if cipher[0].endswith("SHA384") else "sha256"
        return exporter_value(bytes.fromhex(secrets[0].decode("ascii")), digest)

    def close(self) -> None:
        """Forget the session's secrets."""
        os.close(self._log)


def exporter_value(secret: bytes, digest: str) -> bytes:
    """TLS-Exporter("EXPORTER-tickdeck1", "", 32) of RFC 8446 section 7.5."""
    empty = hashlib.new(digest).digest()
    derived = _expand_label(secret, _LABEL, empty, len(empty), digest)
    return _expand_label(derived, b"exporter", empty, 32, digest)


def _expand_label(secret: bytes, label: bytes, context: bytes, length: int, digest: str) -> bytes:
    """HKDF-Expand-Label for at most one block of output."""
    name = b"tls13 " + label
    info = struct.pack(">HB", length, len(name)) + name + bytes([len(context)]) + context
    return hmac.digest(secret, info + b"\x01", digest)[:length]
