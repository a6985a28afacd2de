"""Signed tokens: assertions that clients sign with their key, and the shape of our own access tokens."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from connectors.sandbox.wire import read_json


@dataclass(frozen=True, slots=True)
class Key:
    """The key of an app, and the thumbprints of its certificate by header name; none for a bare public key."""

    key: rsa.RSAPublicKey
    thumbprints: Mapping[str, str]


def read_key(pem: str) -> Key:
    """Returns the key of a certificate or public key. Raises ValueError."""
    data = pem.encode()
    thumbprints: dict[str, str] = {}
    if b"BEGIN CERTIFICATE" in data:
        certificate = load_pem_x509_certificate(data)
        key = certificate.public_key()
        thumbprints = {"x5t": to_text(certificate.fingerprint(SHA1())), "x5t#S256": to_text(certificate.fingerprint(SHA256()))}
    else:
        key = load_pem_public_key(data)  # type: ignore[assignment]
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("certificate must hold an RSA key")
    return Key(key, thumbprints)


def claims_of(assertion: str, key: Key) -> dict[str, Any] | None:
    """Returns the claims of an assertion that this key's owner signed with RS256 or PS256 and that names the certificate;
    None for any other."""
    try:
        head, body, signature = assertion.split(".")
        header = read_json(_bytes(head))
        pads = {"RS256": padding.PKCS1v15(), "PS256": padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)}
        pad = pads.get(header.get("alg"))
        if pad is None:
            return None
        key.key.verify(_bytes(signature), f"{head}.{body}".encode(), pad, SHA256())
        claims = read_json(_bytes(body))
    except (ValueError, AttributeError, TypeError, InvalidSignature):
        return None
    is_named = not key.thumbprints or any(str(header.get(n, "")).rstrip("=") == t for n, t in key.thumbprints.items())
    return claims if isinstance(claims, dict) and is_named else None


def shaped(claims: Mapping[str, Any], secret: str) -> str:
    """Returns a token that looks like the vendor's. Nobody outside can check its signature: clients must not try."""
    head, body = (to_text(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "RS256", "kid": "sandbox"}, claims))
    return f"{head}.{body}.{to_text(hashlib.sha512(f'{secret}.{head}.{body}'.encode()).digest())}"


def to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
