"""The service account of the played project: its key file as Google issues it, and the assertions that it signs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from connectors.sandbox.salesforce.jwt import claims_of

PROJECT = "sandbox-project"
EMAIL = f"sync@{PROJECT}.iam.gserviceaccount.com"
CLIENT_ID = "104000000000000000001"
AUDIENCE = "https://oauth2.googleapis.com/token"  # what libraries sign, wherever the token endpoint is
LONGEST_LIFE, TOLERANCE = 3600, 300  # seconds
BAD_TIMES = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


@cache
def new_key(seed: int) -> str:
    """Returns the PEM of a private key; one a seed and process, since making one takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def _public(pem: str) -> rsa.RSAPublicKey:
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.public_key()


class BadAssertion(Exception):
    """An assertion that is not accepted, with Google's sentence."""


class ServiceAccount:
    """One service account. The key is made when it is first asked for."""

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self._now, self._seed = now, seed
        self.key = ""

    def pem(self) -> str:
        self.key = self.key or new_key(self._seed)
        return self.key

    def key_file(self, token_uri: str) -> dict[str, str]:
        """Returns the JSON object that Google gives out for a new key."""
        pem = self.pem()
        return {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": hashlib.sha256(pem.encode()).hexdigest()[:40],
            "private_key": pem,
            "client_email": EMAIL,
            "client_id": CLIENT_ID,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{EMAIL.replace('@', '%40')}",
            "universe_domain": "googleapis.com",
        }

    def claims(self, assertion: str, token_uri: str, *, is_strict: bool) -> dict[str, Any]:
        """Returns what an assertion claims. Raises BadAssertion for another's, or one for another place or time. Times are
        those of the world's clock, or also of the machine's unless `is_strict`."""
        claims = claims_of(assertion, _public(self.pem()))
        if claims is None:
            raise BadAssertion("Invalid JWT Signature.")
        if claims.get("iss") != EMAIL:
            raise BadAssertion("Invalid grant: account not found")
        if claims.get("aud") not in (AUDIENCE, token_uri):
            raise BadAssertion(f"Invalid JWT: Failed audience check. The right audience is {AUDIENCE}")
        clocks = [self._now()] if is_strict else [self._now(), datetime.now(UTC)]
        if not any(_fits(claims, clock.timestamp()) for clock in clocks):
            raise BadAssertion(BAD_TIMES)
        return claims


def _fits(claims: dict[str, Any], now: float) -> bool:
    issued, ends = claims.get("iat"), claims.get("exp")
    if not all(isinstance(at, int | float) and not isinstance(at, bool) for at in (issued, ends)):
        return False
    assert issued is not None and ends is not None
    return bool(issued <= now + TOLERANCE and ends > now - TOLERANCE and 0 < ends - issued <= LONGEST_LIFE)
