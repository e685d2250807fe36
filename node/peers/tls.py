"""TLS 1.3 between nodes, with each node's own Ed25519 key and no certificate authority.

The certificate is only the envelope in which TLS carries a public key: self-signed, without names that matter and
without an end date that could come. Who the other side is, is decided by comparing that key with the one on the
chain (`server_key`), never by chains, names or dates, so nothing about it can expire or be issued by somebody else.

OpenSSL takes keys from files only. The file holds the key encrypted under a random passphrase that exists in this
process alone, and is deleted before the function returns: the key never lies readable on a disk.
"""

from __future__ import annotations

import datetime
import secrets
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

from chain.crypto import SigningKey

_ALPN = ["kehu/1"]


def make_certificate(key: SigningKey) -> bytes:
    """PEM of the self-signed certificate of `key`; the same for the same key."""
    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kehu node")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC))
        .sign(private, algorithm=None)
    )
    return certificate.public_bytes(Encoding.PEM)


def server_context(key: SigningKey) -> ssl.SSLContext:
    """For accepting: proves possession of `key`, asks no certificate (the dialler signs a challenge instead)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # no resumption: every link is a full handshake
    context.set_alpn_protocols(_ALPN)
    passphrase = secrets.token_hex(32).encode()
    private = Ed25519PrivateKey.from_private_bytes(key.seed)
    sealed = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    with tempfile.TemporaryDirectory(prefix="kehu-tls-") as folder:  # mode 0700
        file = Path(folder) / "node.pem"
        file.write_bytes(sealed + make_certificate(key))
        context.load_cert_chain(file, password=passphrase)
    return context


def client_context() -> ssl.SSLContext:
    """For dialling. Takes any certificate: the caller must compare `server_key` before it sends anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(_ALPN)
    return context


def server_key(connection: ssl.SSLObject) -> bytes | None:
    """The Ed25519 key whose possession the server proved (RFC 8446, section 4.4.3), or None if there is none."""
    der = connection.getpeercert(binary_form=True)
    if der is None or connection.version() != "TLSv1.3":
        return None
    try:
        public = x509.load_der_x509_certificate(der).public_key()
    except Exception:  # foreign bytes in a foreign format: whatever is wrong with them, it is no key
        return None
    return public.public_bytes_raw() if isinstance(public, Ed25519PublicKey) else None
