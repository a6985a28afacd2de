"""What an admin sets of a connection to Exchange on premises: the service account, the server's version, who has a mailbox, and the
authorities whose certificates are trusted besides the public ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import available_timezones

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from connectors.exchange.settings import Directory, Proof, ServerVersion
from reconciliation.services.mailboxes import address_flaw

MOST_BYTES = 200_000
MOST_AUTHORITIES = 50
MOST_MAILBOXES = 5000
LONGEST_USER = 254
ZONE: Final = "UTC"  # as in `ExchangeSettings`
OWN: Final = ("user", "proof", "version", "directory", "zone", "mailboxes", "authority_names")
AUTHORITIES: Final = "authorities"  # PEM; what is shown and audited of it are the names


class ExchangeRefused(ValueError):
    """A value that a connection to Exchange must not have; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Authorities:
    """Certificates of authorities: PEM, and what each is called and when it ends."""

    pem: str = field(repr=False)
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExchangeChange:
    """What was entered. Without `authorities` those that are there stay, unless they are to be forgotten."""

    user: str = ""
    proof: str = Proof.NTLM.value
    version: str = ServerVersion.V2016.value
    directory: str = Directory.LIST.value
    mailboxes: str = ""  # addresses, one a line
    zone: str = ZONE  # what times and whole days that we write are meant in
    authorities: Authorities | None = None
    forgets_authorities: bool = False

    @property
    def flow(self) -> str:
        """There is one way to log in, and it has no tokens."""
        return ""

    def secrets(self) -> dict[str, Any]:
        """Nothing is uploaded that is secret."""
        return {}

    def settings(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the settings with what was entered. Raises ExchangeRefused."""
        if not self.user.strip():
            raise ExchangeRefused("Enter the user of the service account, such as ACME\\sync.")
        if not self.user.isprintable():
            raise ExchangeRefused("The user holds an invisible character.")
        for value, known, what in (
            (self.proof, Proof, "way to sign in"),
            (self.version, ServerVersion, "version"),
            (self.directory, Directory, "directory"),
        ):
            if value not in tuple(known):
                raise ExchangeRefused(f"There is no {what} called {value[:40]!r}.")
        if self.zone not in available_timezones() and self.zone != stored.get("zone"):  # a Windows name may stand there
            raise ExchangeRefused(f"There is no time zone called {self.zone[:40]!r}; choose one such as Europe/Berlin.")
        addresses = _addresses(self.mailboxes)
        own = {k: v for k, v in stored.items() if k not in (*OWN, AUTHORITIES)}
        own |= {"user": self.user.strip(), "proof": self.proof, "version": self.version, "directory": self.directory}
        own |= {"zone": self.zone, **({"mailboxes": addresses} if addresses else {})}
        return own | self._authorities(stored)

    def _authorities(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        if self.authorities is not None:
            return {AUTHORITIES: self.authorities.pem, "authority_names": list(self.authorities.names)}
        names = () if self.forgets_authorities else (AUTHORITIES, "authority_names")
        return {name: stored[name] for name in names if stored.get(name)}


def _addresses(text: str) -> list[str]:
    found = list(dict.fromkeys(line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()))
    if len(found) > MOST_MAILBOXES:
        raise ExchangeRefused(f"The list holds more than {MOST_MAILBOXES:,} addresses.")
    for address in found:
        if why := address_flaw(address):
            raise ExchangeRefused(f"Mailboxes: {why}")
    return found


def authorities_read(files: Sequence[bytes], now: datetime | None = None) -> Authorities:
    """Returns the certificates that stand in the files, and nothing else that does. Raises ExchangeRefused."""
    data = b"\n".join(files)
    if len(data) > MOST_BYTES:
        raise ExchangeRefused("Certificates of authorities take a few thousand bytes each; this file is no such file.")
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ExchangeRefused(
            "No certificate was found in the file. Choose it as PEM: it begins with -----BEGIN CERTIFICATE-----."
        ) from None
    if len(found) > MOST_AUTHORITIES:
        raise ExchangeRefused(f"The file holds more than {MOST_AUTHORITIES} certificates.")
    at = now or datetime.now(UTC)
    ended = next((one for one in found if one.not_valid_after_utc <= at), None)
    if ended is not None:
        raise ExchangeRefused(f"The certificate of {_name(ended)} ended on {ended.not_valid_after_utc:%d %B %Y}.")
    pem = "".join(one.public_bytes(Encoding.PEM).decode() for one in found)
    return Authorities(pem, tuple(f"{_name(one)}, until {one.not_valid_after_utc:%d %B %Y}" for one in found))


def _name(certificate: x509.Certificate) -> str:
    said = certificate.subject.rfc4514_string() or "an authority without a name"
    return "".join(c if c.isprintable() else "�" for c in said)[:200]


def entered(stored: Mapping[str, Any]) -> ExchangeChange:
    """Returns the settings as the form shows them."""
    mailboxes = stored.get("mailboxes")
    return ExchangeChange(
        str(stored.get("user", "")),
        str(stored.get("proof") or Proof.NTLM.value),
        str(stored.get("version") or ServerVersion.V2016.value),
        str(stored.get("directory") or Directory.LIST.value),
        "\n".join(map(str, mailboxes)) if isinstance(mailboxes, list) else "",
        str(stored.get("zone") or ZONE),
    )
