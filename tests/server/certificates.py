"""Certificate authorities and certificates made for a test."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Files of the certificate and the key."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return certificate, key


class Authority:
    """A certificate authority."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key, (), is_authority=True)
        self.certificate = self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, *, uris: tuple[str, ...] = (), dns: tuple[str, ...] = (), name: str = "leaf") -> Pair:
        """A certificate with these names (SAN)."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [*map(x509.UniformResourceIdentifier, uris), *map(x509.DNSName, dns)]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, names, is_authority=False)
        return Pair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))

    def issue_server(self, begins: timedelta = -DAY, ends: timedelta = DAY) -> Pair:
        """A certificate for this machine, valid between two instants as seen from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = self._sign(x509.Name([]), key, names, is_authority=False, valid=(begins, ends))
        return Pair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: tuple[x509.GeneralName, ...] | list[x509.GeneralName],
        *,
        is_authority: bool,
        valid: tuple[timedelta, timedelta] = (-DAY, DAY),
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + valid[0])
            .not_valid_after(now + valid[1])
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
        return builder.sign(self._key, hashes.SHA256())


def encrypted(pair: Pair) -> bytes:
    """The pair's key, encrypted."""
    key = serialization.load_pem_private_key(pair.key, None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
