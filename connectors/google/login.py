"""How a connection logs in to Google: as a service account that acts for users, or by what a user consented to
(reference section 2). google-auth signs and words the requests; every socket is our own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from google.oauth2 import credentials, service_account

from connectors.errors import MailboxRefused, NeedsAttention
from connectors.google.settings import SYSTEM
from connectors.oauth import App

CONSENT_PAGES = "https://accounts.google.com"
TOKEN_PAGES = "https://oauth2.googleapis.com"
AUTHORIZE, TOKEN = "/o/oauth2/v2/auth", "/token"
# Without these there is no refresh token, or only at the first consent (reference 2.1).
CONSENT_SAYS = {"access_type": "offline", "prompt": "consent", "include_granted_scopes": "true"}
# What an invalid_grant says when the assertion, and not the user in it, is at fault. Clocks and keys are everybody's matter.
_NOT_THE_USER = ("iat", "exp", "clock", "timeframe", "short-lived", "signature", "jwt", "key")
_WHERE = "Admin console: Security, API controls, Domain-wide delegation"


class Flow(StrEnum):
    """How tokens come about. WEB: a person consents in the browser. SERVICE: we sign for each user."""

    WEB = "web"
    SERVICE = "service_account"


class Way(Protocol):
    """One way to an access token. `may_keep_alive`: what it rests on dies of not being used."""

    @property
    def may_keep_alive(self) -> bool: ...

    def credentials(self, refresh_token: str, token_uri: str) -> Any:
        """Returns google-auth's credentials, not refreshed yet. Raises NeedsAttention when something is missing."""
        ...

    def refused(self, refusal: NeedsAttention) -> NeedsAttention:
        """Returns what a refusal of the token page means, and what a person does about it."""
        ...

    def lacking(self, names: Sequence[str]) -> NeedsAttention:
        """Returns the error for scopes that were not granted."""
        ...


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The key file of a service account, as far as it is used: the addresses in it are not believed."""

    email: str
    client_id: str = ""
    key_id: str = ""
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Delegation:
    """A service account acting for one user."""

    account: ServiceAccount
    subject: str
    scopes: tuple[str, ...]
    may_keep_alive: bool = False
    is_for_directory: bool = False  # the user's own mailbox is not concerned

    def credentials(self, refresh_token: str, token_uri: str) -> Any:
        own = self.account
        info = {"client_email": own.email, "private_key": own.key, "private_key_id": own.key_id, "token_uri": token_uri}
        if not self.subject:
            raise NeedsAttention("needs the address of a user to act for; enter one", system=SYSTEM)
        try:
            return service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                info, scopes=list(self.scopes), subject=self.subject
            )
        except (ValueError, TypeError, KeyError):  # its text might show the key
            raise unreadable_key() from None

    def refused(self, refusal: NeedsAttention) -> NeedsAttention:
        common: dict[str, Any] = {"system": SYSTEM, "status": refusal.status, "code": refusal.code, "exchange": refusal.exchange}
        said = _said(refusal)
        if refusal.code in ("unauthorized_client", "access_denied"):
            who = f"client id {self.account.client_id or 'of the service account'}"
            return NeedsAttention(
                f"does not let our service account act for {self.subject}; a super administrator allows {who} the scopes"
                f" {' '.join(self.scopes)} ({_WHERE}), which may take a day to act{said}",
                **common,
            )
        is_of_user = refusal.code == "invalid_grant" and not any(word in said.lower() for word in _NOT_THE_USER)
        if is_of_user and self.is_for_directory:
            return NeedsAttention(
                f"knows no active user {self.subject}, in whose name the directory is read; enter one of the organisation under"
                f" “Directory read as”{said}",
                **common,
            )
        if is_of_user:
            return MailboxRefused(
                f"knows no active user {self.subject}: suspended, deleted, or not of this organisation{said}",
                is_gone=True,
                **common,
            )
        return NeedsAttention(
            f"refuses what our service account signs ({refusal.code}); look at this server's clock and at the account's key{said}",
            **common,
        )

    def lacking(self, names: Sequence[str]) -> NeedsAttention:
        return NeedsAttention(f"has not allowed our service account {' '.join(names)}; add it there ({_WHERE})", system=SYSTEM)


@dataclass(frozen=True, slots=True)
class Consented:
    """What a user consented to. `address`: whose mailbox it opens, "" for the connection's own."""

    app: App
    address: str = ""
    may_keep_alive: bool = True

    def credentials(self, refresh_token: str, token_uri: str) -> Any:
        if not refresh_token:
            raise self._error("is not connected yet; press Connect")
        if not (self.app.client_id and self.app.client_secret):
            raise NeedsAttention("needs client id and client secret; enter them", system=SYSTEM)
        return credentials.Credentials(  # type: ignore[no-untyped-call]
            token=None,
            refresh_token=refresh_token,
            token_uri=token_uri,
            client_id=self.app.client_id,
            client_secret=self.app.client_secret,
        )

    def refused(self, refusal: NeedsAttention) -> NeedsAttention:
        common: dict[str, Any] = {"status": refusal.status, "code": refusal.code, "exchange": refusal.exchange}
        if refusal.code == "invalid_grant":
            return self._error(f"takes the consent no longer: it was revoked, or ran out; connect again{_said(refusal)}", **common)
        return NeedsAttention(f"refuses our app ({refusal.code}); look at client id and secret{_said(refusal)}", system=SYSTEM, **common)

    def lacking(self, names: Sequence[str]) -> NeedsAttention:
        return self._error(f"was connected without the consent to {' '.join(names)}; connect again and tick every box")

    def _error(self, detail: str, **common: Any) -> NeedsAttention:
        if self.address:
            return MailboxRefused(f"{self.address}: {detail}", system=SYSTEM, **common)
        return NeedsAttention(detail, system=SYSTEM, **common)


def _said(refusal: NeedsAttention) -> str:
    _, mark, words = refusal.detail.partition(" (it says: ")
    return f"{mark}{words}" if mark else ""


def unreadable_key() -> NeedsAttention:
    return NeedsAttention("has a service account key that cannot be read; enter the JSON key file anew", system=SYSTEM)


def flow_of(secrets: Mapping[str, Any], settings: Mapping[str, Any]) -> Flow:
    """Returns the way that was chosen; where none was, the one whose secret is there. Raises NeedsAttention."""
    default = Flow.SERVICE if secrets.get("service_account") else Flow.WEB
    try:
        return Flow(str(settings.get("flow") or default))
    except ValueError:
        raise NeedsAttention(f"knows no log-in {str(settings.get('flow'))[:40]!r}", system=SYSTEM) from None


def account_of(secrets: Mapping[str, Any]) -> ServiceAccount:
    """Returns the service account of the secret `service_account`, the JSON key file. Raises NeedsAttention."""
    raw = secrets.get("service_account")
    if not raw:
        raise NeedsAttention("needs the JSON key file of a service account; enter it", system=SYSTEM)
    try:
        data = json.loads(raw) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        raise unreadable_key() from None
    said = data if isinstance(data, Mapping) else {}
    email, key, client_id, key_id = (said.get(name, "") for name in ("client_email", "private_key", "client_id", "private_key_id"))
    if not (isinstance(email, str) and email and isinstance(key, str) and key):
        raise unreadable_key()
    return ServiceAccount(email, str(client_id), str(key_id), key)


def app_of(secrets: Mapping[str, Any], redirect_uri: str) -> App:
    """Returns our registration."""
    return App(
        str(secrets.get("client_id") or ""),
        str(secrets.get("client_secret") or ""),
        redirect_uri,
        authorize_path=AUTHORIZE,
        token_path=TOKEN,
        repeats_redirect=False,
        consent_at={TOKEN_PAGES: CONSENT_PAGES},
        consent_says=CONSENT_SAYS,
    )
