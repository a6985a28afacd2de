"""What an admin sets of a connection to a mail system: how it logs in, for whom, and with which key. What is Exchange's alone stands
in `exchange`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.errors import NeedsAttention
from reconciliation.models import Connection
from reconciliation.models.connection import FLOWS
from reconciliation.services.certificates import KeyPair
from reconciliation.services.exchange import OWN as OWN_OF_EXCHANGE
from reconciliation.services.exchange import ExchangeChange, ExchangeRefused
from reconciliation.services.mailboxes import address_flaw
from reconciliation.services.service_accounts import AccountKey

Flow, System = Connection.Flow, Connection.System
SECRET, CERTIFICATE = "secret", "certificate"  # how the app proves to Microsoft who it is
PROOFS = (SECRET, CERTIFICATE)
OWN = {  # the settings that are entered here
    System.MICROSOFT: ("flow", "tenant", "proof", "certificate"),
    System.GOOGLE: ("flow", "directory_user", "lists_directory", "service_account"),
    System.EXCHANGE: OWN_OF_EXCHANGE,
}


class MailRefused(ValueError):
    """A value that a connection to a mail system must not have; the sentence says why."""


@dataclass(frozen=True, slots=True)
class MicrosoftChange:
    """What was entered. Without a `pair` the key and certificate that are there stay."""

    flow: str = Flow.APP.value
    tenant: str = ""
    proof: str = SECRET
    pair: KeyPair | None = None

    def secrets(self) -> dict[str, Any]:
        """Returns the secrets that were uploaded."""
        return {"private_key": self.pair.key, "certificate": self.pair.certificate} if self.pair else {}

    def settings(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings with what was entered. Raises MailRefused."""
        _refuse_flow(System.MICROSOFT, self.flow)
        if self.proof not in PROOFS:
            raise MailRefused(f"There is no way to prove who we are called {self.proof[:40]!r}.")
        own = {k: v for k, v in stored.items() if k not in OWN[System.MICROSOFT]}
        own |= {"flow": self.flow, "tenant": self.tenant.strip(), "proof": self.proof}
        if self.proof == CERTIFICATE:
            shown = {**self.pair.shown(), "thumbprint": self.pair.thumbprint} if self.pair else stored.get("certificate")
            own |= {"certificate": shown} if shown else {}
        return own


@dataclass(frozen=True, slots=True)
class GoogleChange:
    """What was entered. Without an `account` the key that is there stays."""

    flow: str = Flow.SERVICE.value
    directory_user: str = ""
    lists_directory: bool = True
    account: AccountKey | None = None

    def secrets(self) -> dict[str, Any]:
        """Returns the secrets that were uploaded."""
        return {"service_account": self.account.secret()} if self.account else {}

    def settings(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings with what was entered. Raises MailRefused."""
        _refuse_flow(System.GOOGLE, self.flow)
        user = self.directory_user.strip()
        if user and (why := address_flaw(user)):
            raise MailRefused(f"Directory read as: {why}")
        own = {k: v for k, v in stored.items() if k not in OWN[System.GOOGLE]}
        own |= {"flow": self.flow, "lists_directory": self.lists_directory}
        if self.flow == Flow.SERVICE:
            shown = self.account.shown() if self.account else stored.get("service_account")
            own |= {"directory_user": user} | ({"service_account": shown} if shown else {})
        return own


MailChange = MicrosoftChange | GoogleChange | ExchangeChange


def mail_settings(change: MailChange, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a connection with what was entered. Raises MailRefused."""
    try:
        return change.settings(stored)
    except ExchangeRefused as refusal:
        raise MailRefused(str(refusal)) from None


def _refuse_flow(system: str, flow: str) -> None:
    if flow not in FLOWS[system]:
        raise MailRefused(f"There is no way to log in called {flow[:40]!r}.")


def needless_secrets(system: str, own: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the secrets that the way to log in does not use: they are not kept."""
    if system == System.MICROSOFT:
        return ("client_secret",) if own.get("proof") == CERTIFICATE else ("private_key", "certificate")
    if system == System.GOOGLE:
        return ("client_id", "client_secret", "refresh_token") if own.get("flow") == Flow.SERVICE else ("service_account",)
    return ()


def mail_credentials_check(system: str, secrets: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raises MailRefused where something is missing for the way the connection logs in, or cannot be used."""
    for name, sentence in _needed(system, own):
        if not secrets.get(name):
            raise MailRefused(sentence)
    _refuse(lambda: _build(system, secrets, own))


def _needed(system: str, own: Mapping[str, Any]) -> list[tuple[str, str]]:
    if system == System.EXCHANGE:
        return [("password", "Enter the password of the service account.")]
    if system == System.GOOGLE and own["flow"] == Flow.SERVICE:
        return [("service_account", "Choose the JSON key file of the service account.")]
    if system == System.GOOGLE:
        client = "Enter the {} of the OAuth client."
        return [("client_id", client.format("client id")), ("client_secret", client.format("client secret"))]
    application = ("client_id", "Enter the application id: Entra calls it Application (client) ID.")
    if own["proof"] == CERTIFICATE:
        return [application, ("private_key", "Choose the private key and its certificate; the sign-in is signed with them.")]
    return [application, ("client_secret", "Enter the client secret: its value, and not its id.")]


def _build(system: str, secrets: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Lets the connector say what it thinks of these values. Its libraries are heavy, and loaded when they are needed."""
    if system == System.MICROSOFT:
        from connectors.microsoft.login import registration_of
        from connectors.microsoft.settings import MicrosoftSettings

        registration_of(secrets, own)
        MicrosoftSettings.of(own)
    elif system == System.EXCHANGE:
        from connectors.exchange.settings import ExchangeSettings

        ExchangeSettings.of(own)  # whether its library is installed is said by the test
    else:
        from connectors.google.login import account_of
        from connectors.google.settings import GoogleSettings

        if own["flow"] == Flow.SERVICE:
            account_of(secrets)
        GoogleSettings.of(own)


def _refuse(build: Callable[[], None]) -> None:
    try:
        build()
    except NeedsAttention as error:
        raise MailRefused(f"{error.sentence}.") from None


def mail_logs_in_as_before(
    system: str, old: Mapping[str, Any], new: Mapping[str, Any], given: Mapping[str, Any], held: Mapping[str, Any]
) -> bool:
    """Tells whether tokens of before are still those of the app, tenant or account that we log in as."""
    if system == System.EXCHANGE:
        return True  # it has no tokens: each call signs in
    named = ("flow", "tenant") if system == System.MICROSOFT else ("flow", "directory_user", "service_account")
    shipped = FLOWS[system][0]
    same = all((old.get(name) or (shipped if name == "flow" else "")) == (new.get(name) or "") for name in named)
    return same and given.get("client_id", held.get("client_id")) == held.get("client_id")
