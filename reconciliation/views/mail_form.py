"""The part of a connection's form that is a mail system's: how it logs in, and which permissions are ticked there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.http import HttpRequest

from connectors.exchange.library import is_installed
from connectors.exchange.settings import Directory, Proof, ServerVersion
from connectors.google import scopes as google_scopes
from connectors.microsoft import scopes as microsoft_scopes
from reconciliation.models import Connection
from reconciliation.models.connection import FLOWS
from reconciliation.services.admin_consent import admin_consent_link
from reconciliation.services.certificates import MOST_BYTES, CertificateRefused, make_both, pair_read
from reconciliation.services.connections import ConnectionChange, ConnectionRefused
from reconciliation.services.exchange import LONGEST_USER, ZONE, ExchangeChange, ExchangeRefused, authorities_read
from reconciliation.services.exchange import entered as exchange_entered
from reconciliation.services.mail_systems import CERTIFICATE, SECRET, GoogleChange, MailChange, MicrosoftChange
from reconciliation.services.service_accounts import AccountRefused, account_read

MICROSOFT, GOOGLE, EXCHANGE = Connection.System.MICROSOFT, Connection.System.GOOGLE, Connection.System.EXCHANGE
PAIR_FILES, ACCOUNT_FILE, AUTHORITIES_FILE = ("private_key_file", "certificate_file"), "service_account_file", "authorities_file"
LONGEST_LIST = 500_000  # characters of a list of mailboxes
WAYS = {
    (MICROSOFT, Connection.Flow.APP): "The app for all mailboxes (an administrator consents once)",
    (MICROSOFT, Connection.Flow.WEB): "Each user for their own mailbox (delegated)",
    (GOOGLE, Connection.Flow.SERVICE): "A service account for all mailboxes (domain-wide delegation)",
    (GOOGLE, Connection.Flow.WEB): "Each user for their own mailbox (OAuth client)",
}
SERVER_PROOFS = ((Proof.NTLM, "NTLM (what most servers take)"), (Proof.BASIC, "Basic"))
VERSIONS = (
    (ServerVersion.V2016, "2016, 2019 or Subscription Edition"),
    (ServerVersion.V2013_SP1, "2013 with Service Pack 1"),
    (ServerVersion.V2013, "2013"),
    (ServerVersion.V2010_SP2, "2010 with Service Pack 2 or 3"),
)
DIRECTORIES = (
    (Directory.LIST, "Those of the list below, and those that are added by file or by address"),
    (Directory.NAMES, "Everybody whom the address list of the server finds"),
)
PROOFS = ((SECRET, "Client secret"), (CERTIFICATE, "Certificate"))


def change_of(system: str, given: Mapping[str, str]) -> MailChange | None:
    """Returns what was entered, the files aside; None for a system that is no mail system."""
    return _READERS[system](given) if system in _READERS else None


def _microsoft(given: Mapping[str, str]) -> MailChange:
    return MicrosoftChange(given.get("flow", "")[:40], given.get("tenant", "").strip()[:253], given.get("proof", "")[:20])


def _google(given: Mapping[str, str]) -> MailChange:
    return GoogleChange(given.get("flow", "")[:40], given.get("directory_user", "").strip()[:254], "lists_directory" in given)


def _exchange(given: Mapping[str, str]) -> MailChange:
    return ExchangeChange(
        given.get("user", "").strip()[:LONGEST_USER],
        given.get("proof", "")[:20],
        given.get("version", "")[:40],
        given.get("directory", "")[:20],
        given.get("mailboxes", "")[:LONGEST_LIST],
        given.get("zone", "").strip()[:60] or ZONE,
        forgets_authorities="forgets_authorities" in given,
    )


_READERS: dict[str, Callable[[Mapping[str, str]], MailChange]] = {MICROSOFT: _microsoft, GOOGLE: _google, EXCHANGE: _exchange}


def with_files(change: ConnectionChange, request: HttpRequest) -> ConnectionChange:
    """Returns the change with the keys in the files that were chosen. Raises ConnectionRefused."""
    if change.mail is None:
        return change
    kinds = {MicrosoftChange: PAIR_FILES, GoogleChange: (ACCOUNT_FILE,), ExchangeChange: (AUTHORITIES_FILE,)}
    names = kinds[type(change.mail)]
    files = [request.FILES[name].read(MOST_BYTES + 1) for name in names if name in request.FILES]
    return replace(change, mail=_with(change.mail, files)) if files else change


def _with(mail: MailChange, files: Sequence[bytes]) -> MailChange:
    try:
        if isinstance(mail, MicrosoftChange):
            return replace(mail, pair=pair_read(files))
        if isinstance(mail, ExchangeChange):
            return replace(mail, authorities=authorities_read(files))
        return replace(mail, account=account_read(files[0]))
    except (CertificateRefused, AccountRefused, ExchangeRefused) as refusal:
        raise ConnectionRefused(str(refusal)) from None


def entered(connection: Connection) -> MailChange | None:
    """Returns the settings as the form shows them."""
    own = connection.settings
    if connection.system == MICROSOFT:
        return MicrosoftChange(connection.flow, str(own.get("tenant", "")), str(own.get("proof") or SECRET))
    if connection.system == GOOGLE:
        return GoogleChange(connection.flow, str(own.get("directory_user", "")), own.get("lists_directory") is not False)
    return exchange_entered(own) if connection.system == EXCHANGE else None


def blank(system: str) -> MailChange | None:
    """Returns what the form of a new connection begins with."""
    empty = {MICROSOFT: MicrosoftChange(), GOOGLE: GoogleChange(), EXCHANGE: ExchangeChange(zone=settings.TIME_ZONE)}
    return empty.get(Connection.System(system))


def shown(entry: MailChange | None, system: str, connection: Connection | None, redirect_uris: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns what the template needs besides what every connection has; None for a system that is no mail system."""
    if entry is None:
        return None
    is_personal = entry.flow == Connection.Flow.WEB
    known = connection.settings if connection else {}
    if isinstance(entry, ExchangeChange):
        choices = {"proofs": SERVER_PROOFS, "versions": VERSIONS, "directories": DIRECTORIES, "zones": _zones(entry.zone)}
        return {"own": entry, "authorities": known.get("authority_names"), "is_installed": is_installed(), **choices}
    return {
        "own": entry,
        "is_personal": is_personal,
        "flows": [(flow, WAYS[Connection.System(system), Connection.Flow(flow)]) for flow in FLOWS[system]],
        "proofs": PROOFS,
        "certificate": known.get("certificate"),
        "account": known.get("service_account"),
        "has_key": bool(connection and connection.has_certificate),
        "has_account": bool(connection and connection.secrets.get("service_account")),
        "client_id": str(connection.secrets.get("client_id", "")) if connection else "",
        "make_both": make_both(system),
        "consent_link": admin_consent_link(connection, redirect_uris["connection"]) if connection else "",
        "consented_at": known.get("consented_at"),
        "consented_by": known.get("consented_by"),
        "redirect_uris": _redirects(system, is_personal, redirect_uris),
        **_scopes(system, is_personal),
    }


def _zones(chosen: str) -> list[str]:
    return sorted(available_timezones() | {chosen})


def _redirects(system: str, is_personal: bool, uris: Mapping[str, str]) -> list[str]:
    """Returns the addresses to register: where an administrator comes back, and where users of mailboxes do."""
    for_admin = [uris["connection"]] if is_personal == (system == GOOGLE) else []
    return [*for_admin, *([uris["mailbox"]] if is_personal else [])]


def _scopes(system: str, is_personal: bool) -> dict[str, Any]:
    """Returns the permissions with what each is for, and the whole of them as it is pasted."""
    if system == MICROSOFT:
        found: Sequence[Any] = microsoft_scopes.DELEGATED if is_personal else microsoft_scopes.APP
        return {"scopes": found, "pasted": " ".join(s.name for s in found), "kind": "Delegated" if is_personal else "Application"}
    scopes = google_scopes.SCOPES if is_personal else google_scopes.DELEGATED
    return {"scopes": scopes, "pasted": ",".join(s.name for s in scopes), "kind": ""}
