"""How tokens are asked for without a person: by a refresh token, by a signed assertion, or by the app's own credentials."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from connectors.errors import NeedsAttention

ASSERTION_SECONDS = 120  # Salesforce takes three minutes at most, and our clock may be ahead of its own
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Grant(Protocol):
    """One way to new tokens. `remedy` says what a person does when it is refused. `may_replace`: the answer may hold a
    new refresh token and make an end of the old one, so that a lost answer can cost us the access."""

    @property
    def remedy(self) -> str: ...

    @property
    def may_replace(self) -> bool: ...

    def fields(self, refresh_token: str, now: datetime, system: str) -> dict[str, str]:
        """Returns what the form says besides client id and secret. Raises NeedsAttention when something is missing."""
        ...


@dataclass(frozen=True, slots=True)
class RefreshGrant:
    """What a person consented to, renewed."""

    remedy: str = "reconnect it"
    may_replace: bool = True

    def fields(self, refresh_token: str, now: datetime, system: str) -> dict[str, str]:
        if not refresh_token:
            raise NeedsAttention("is not connected yet; press Connect", system=system)
        return {"grant_type": "refresh_token", "refresh_token": refresh_token}


@dataclass(frozen=True, slots=True)
class ClientCredentialsGrant:
    """The app for itself: the system knows which of its users the app runs as."""

    remedy: str = "look at client id and secret, and at the user the app runs as"
    may_replace: bool = False

    def fields(self, refresh_token: str, now: datetime, system: str) -> dict[str, str]:
        return {"grant_type": "client_credentials"}


@dataclass(frozen=True, slots=True)
class JwtGrant:
    """Server to server: we sign for whom we act, and the system knows our certificate. `key` is a private RSA key (PEM)."""

    client_id: str
    user: str
    audience: str
    key: str = field(repr=False)
    remedy: str = "look at the app's certificate, the user's name, and whether the app is allowed for that user"
    may_replace: bool = False

    def fields(self, refresh_token: str, now: datetime, system: str) -> dict[str, str]:
        claims = {"iss": self.client_id, "sub": self.user, "aud": self.audience, "exp": int(now.timestamp()) + ASSERTION_SECONDS}
        return {"grant_type": JWT_BEARER, "assertion": sign(claims, self.key, system)}


def sign(claims: Mapping[str, Any], key: str, system: str) -> str:
    """Returns the claims as a signed JWT (RS256). Raises NeedsAttention when the key is none."""
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # its text might show the key
        raise NeedsAttention("has a private key that cannot be read; enter it anew, as PEM without a password", system=system) from None
    if not isinstance(private, RSAPrivateKey):
        raise NeedsAttention("needs an RSA key; enter another one", system=system)
    signed = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_base64(private.sign(signed.encode(), PKCS1v15(), hashes.SHA256()))}"


def _part(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
