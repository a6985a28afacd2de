"""Private key and certificate of a log-in without a person, as an admin uploads them. The key is kept encrypted and shown
nowhere; of the certificate fingerprint, subject and end are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

MOST_BYTES = 50_000  # of one file
LEAST_BITS = 2048
LONGEST_SUBJECT = 200
_MAKE_BOTH = (
    "openssl req -x509 -newkey rsa:2048 -sha256 -nodes -days 730 -subj /CN=syncsite -keyout {system}-key.pem -out {system}-certificate.pem"
)
_BEGIN, _END = "-----BEGIN ", "-----END "


class CertificateRefused(ValueError):
    """Files that cannot be used; the sentence says why, and never what stands in them."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private RSA key (PEM, without a password) and what its certificate says."""

    key: str = field(repr=False)
    fingerprint: str  # SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it
    subject: str
    ends_on: date
    certificate: str = ""  # PEM; it is no secret
    thumbprint: str = ""  # SHA-1, as Microsoft lists a certificate

    def shown(self) -> dict[str, str]:
        """Returns what may be seen of it, as it is stored among a connection's settings."""
        return {"fingerprint": self.fingerprint, "subject": self.subject, "ends_on": self.ends_on.isoformat()}


def make_both(system: str) -> str:
    """Returns the command that makes a key and its certificate for a connection to the system."""
    return _MAKE_BOTH.format(system=system)


def pair_read(files: Sequence[bytes], now: datetime | None = None) -> KeyPair:
    """Returns the pair that stands in the files: the key in one and the certificate in the other, or both in one. Raises
    CertificateRefused."""
    if any(len(data) > MOST_BYTES for data in files):
        raise CertificateRefused("A key or certificate takes a few thousand bytes; one of these files is no such file.")
    parts = [part for data in files for part in _parts(data)]
    keys = [part for kind, part in parts if kind.endswith("PRIVATE KEY")]
    certificates = [part for kind, part in parts if kind == "CERTIFICATE"]
    if len(keys) != 1 or not certificates:
        missing = [name for name, found in (("private key", keys), ("certificate", certificates)) if not found]
        why = f"no {' and no '.join(missing)} was found" if missing else "more than one private key was found"
        raise CertificateRefused(f"Choose one private key and its certificate, both as PEM files: {why}.")
    key = _key(keys[0])
    certificate = next((c for c in map(_certificate, certificates) if c.public_key() == key.public_key()), None)
    if certificate is None:
        raise CertificateRefused("The certificate belongs to another private key. Choose the two that were made together.")
    if certificate.not_valid_after_utc <= (now or datetime.now(UTC)):
        raise CertificateRefused(f"The certificate ended on {certificate.not_valid_after_utc:%d %B %Y}. Make a new one.")
    return KeyPair(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        _printable(certificate.subject.rfc4514_string())[:LONGEST_SUBJECT],
        certificate.not_valid_after_utc.date(),
        certificate.public_bytes(Encoding.PEM).decode(),
        certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303  a name that Microsoft gives it, and no proof
    )


def _parts(data: bytes) -> list[tuple[str, bytes]]:
    """Returns (kind, text) of each PEM block; what stands around them counts for nothing."""
    found = []
    for block in data.decode("utf-8", "replace").split(_BEGIN)[1:]:
        kind, _, _ = block.partition("-----")
        end = f"{_END}{kind}-----"
        if end in block:
            found.append((kind, f"{_BEGIN}{block.partition(end)[0]}{end}\n".encode()))
    return found


def _key(pem: bytes) -> RSAPrivateKey:
    if b"ENCRYPTED" in pem:
        raise CertificateRefused("The private key has a password. Store it without one first; here it is kept encrypted.")
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateRefused("The private key cannot be read. Choose a PEM file of an RSA key without a password.") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < LEAST_BITS:
        raise CertificateRefused(f"The key must be an RSA key of at least {LEAST_BITS:,} bits. Make another one.")
    return key


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        found = x509.load_pem_x509_certificate(pem)
        found.public_key()  # it may be of an algorithm that nobody knows
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateRefused("The certificate cannot be read. Choose a PEM file (“BEGIN CERTIFICATE”).") from None
    return found


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
