"""Throw-away certificates: a good one, and the ways to be wrong."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

QUICK = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""A client's context that trusts nobody: reading the usual authorities takes 20 ms each time."""


class Authority:
    """An authority nobody trusts by default, and server contexts with its certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = trustme.CA()
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def good(self) -> ssl.SSLContext:
        return self._context(self._authority.issue_cert("127.0.0.1", "localhost"))

    def wrong_host(self) -> ssl.SSLContext:
        return self._context(self._authority.issue_cert("somewhere-else.example"))

    def expired(self) -> ssl.SSLContext:
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        return self._context(self._authority.issue_cert("127.0.0.1", not_after=yesterday))

    def self_signed(self) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        path = self.folder / "self-signed.key-and-certificate"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _context(self, certificate: trustme.LeafCert) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context
