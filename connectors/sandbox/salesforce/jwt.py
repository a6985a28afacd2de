"""Signed tokens: assertions that clients sign with their key, and the id token of our own."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from connectors.sandbox.wire import read_json


def public_key(pem: str) -> rsa.RSAPublicKey:
    """Returns the key of a certificate or public key. Raises ValueError."""
    data = pem.encode()
    key = load_pem_x509_certificate(data).public_key() if b"BEGIN CERTIFICATE" in data else load_pem_public_key(data)
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("jwt_certificate must hold an RSA key")
    return key


def claims_of(assertion: str, key: rsa.RSAPublicKey) -> dict[str, Any] | None:
    """Returns the claims of an assertion that this key's owner signed with RS256, None for any other."""
    try:
        head, body, signature = assertion.split(".")
        if read_json(_bytes(head)).get("alg") != "RS256":
            return None
        key.verify(_bytes(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), SHA256())
        claims = read_json(_bytes(body))
    except (ValueError, AttributeError, InvalidSignature):
        return None
    return claims if isinstance(claims, dict) else None


def signed(claims: Mapping[str, Any]) -> str:
    """Returns a token of our own."""
    head, body = (_text(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": "sandbox"}, claims))
    return f"{head}.{body}.{_text(_own_key().sign(f'{head}.{body}'.encode(), padding.PKCS1v15(), SHA256()))}"


@cache
def _own_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)  # once a process: it takes a while


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
