"""Private keys and certificates for tests, as an admin would make them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat


def rsa_key(name: str = "a", bits: int = 2048) -> rsa.RSAPrivateKey:
    """Returns a key; the same for the same name, since making one takes a while."""
    return _made(name, bits)


@cache
def _made(name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


def certificate_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, subject: str = "syncsite", days: int = 100) -> bytes:
    """Returns a self-signed certificate that ends in so many days."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=900))
    return builder.not_valid_after(now + timedelta(days=days)).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
