"""Certificates made for one test run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its key."""

    name: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def key_pem(self, password: str | None = None) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption(),
        ).decode()

    def write(self, folder: Path, password: str | None = None) -> tuple[Path, Path]:
        """Write `name.crt` and `name.key`; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = folder / f"{self.name}.crt", folder / f"{self.name}.key"
        certificate.write_text(self.pem)
        key.write_text(self.key_pem(password))
        key.chmod(0o600)
        return certificate, key


@dataclass(frozen=True)
class Authority(Identity):
    """A certificate authority of its own."""

    @classmethod
    def new(cls, name: str) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _certificate(_name(name), _name(name), key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        return cls(name, builder.sign(key, hashes.SHA256()), key)

    def java_truststore(self, password: str) -> bytes:
        """Its certificate as Java's own trust store wants it."""
        return pkcs12.serialize_java_truststore(
            [pkcs12.PKCS12Certificate(self.certificate, b"ca")],
            serialization.BestAvailableEncryption(password.encode()),
        )

    def issue(self, name: str, *, addresses: tuple[str, ...] = ("127.0.0.1",)) -> Identity:
        """A certificate for a server at `addresses`, or for a client of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(a)) for a in addresses])
        builder = _certificate(_name(name), self.certificate.subject, key).add_extension(
            names, critical=False
        )
        return Identity(name, builder.sign(self.key, hashes.SHA256()), key)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 7 * _DAY)
    )
