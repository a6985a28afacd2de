"""What an admin sets of a Salesforce connection: how it logs in, which API version, and the field that takes our key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.contract import Check
from connectors.errors import NeedsAttention
from connectors.salesforce.codec import full_id
from connectors.salesforce.login import PRODUCTION, TEST, grant_of
from connectors.salesforce.rights import WANTED, KeyDefinition, key_lines
from connectors.salesforce.settings import API_VERSION, EXTERNAL_ID_FIELD, SalesforceSettings
from reconciliation.models import Connection
from reconciliation.models.connection import FLOWS
from reconciliation.services.certificates import KeyPair

Flow = Connection.Flow
OWN = ("flow", "jwt_user", "api_version", "external_id_field", "integration_users", "certificate")  # the settings that are entered here
_FIELD_NAME = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9]+)*(?:__[A-Za-z](?:_?[A-Za-z0-9]+)*)?__c")
LONGEST_FIELD = 80
USER_PREFIX, MOST_PROGRAMS = "005", 50


class SalesforceRefused(ValueError):
    """A value that a Salesforce connection must not have; the sentence says why."""


@dataclass(frozen=True, slots=True)
class SalesforceChange:
    """What was entered. Without a `pair` the key that is there stays."""

    flow: str = Flow.WEB.value
    jwt_user: str = ""
    api_version: str = API_VERSION
    external_id_field: str = EXTERNAL_ID_FIELD
    integration_users: str = ""  # ids of users who are programs, apart by blanks or lines
    pair: KeyPair | None = None


def salesforce_settings(stored: Mapping[str, Any], change: SalesforceChange) -> dict[str, Any]:
    """Returns the settings with what was entered. Raises SalesforceRefused."""
    if change.flow not in FLOWS[Connection.System.SALESFORCE]:
        raise SalesforceRefused(f"There is no way to log in called {change.flow[:40]!r}.")
    field = change.external_id_field.strip()
    if field and (len(field) > LONGEST_FIELD or not _FIELD_NAME.fullmatch(field)):
        raise SalesforceRefused(f"The key field is written by its API name, such as {EXTERNAL_ID_FIELD}, or left blank.")
    own = {k: v for k, v in stored.items() if k not in OWN}
    if field != stored.get("external_id_field"):
        own.pop("without_external_id", None)  # of the other field
    own |= {"flow": change.flow, "api_version": change.api_version.strip(), "external_id_field": field}
    if programs := _user_ids(change.integration_users):
        own["integration_users"] = programs
    if change.flow == Flow.JWT:
        own["jwt_user"] = change.jwt_user.strip()
        certificate = change.pair.shown() if change.pair else stored.get("certificate")
        own |= {"certificate": certificate} if certificate else {}
    _refuse(lambda: SalesforceSettings.of(own))
    return own


def _user_ids(text: str) -> list[str]:
    found = []
    for word in text.replace(",", " ").split():
        id_ = full_id(word)
        if id_ is None or not id_.startswith(USER_PREFIX):
            raise SalesforceRefused(f"“{word[:40]}” is no id of a user; it begins with {USER_PREFIX} and has 15 or 18 characters.")
        found.append(id_)
    if len(found) > MOST_PROGRAMS:
        raise SalesforceRefused(f"At most {MOST_PROGRAMS} users of other programs can be named.")
    return list(dict.fromkeys(found))


def credentials_check(secrets: Mapping[str, Any], own: Mapping[str, Any], login_url: str) -> None:
    """Raises SalesforceRefused where something is missing for the way the connection logs in."""
    if own["flow"] == Flow.WEB and not secrets.get("client_id"):
        raise SalesforceRefused("Enter the client id: Salesforce calls it Consumer Key.")
    if own["flow"] == Flow.JWT and not secrets.get("jwt_key"):
        raise SalesforceRefused("Choose the private key and its certificate; the log-in is signed with them.")
    _refuse(lambda: grant_of(secrets, own, login_url))


def _refuse(build: Any) -> None:
    """Says what the connector itself would say of these values."""
    try:
        build()
    except NeedsAttention as error:
        raise SalesforceRefused(f"{error.sentence}.") from None


def logs_in_as_before(old: Mapping[str, Any], new: Mapping[str, Any], given: Mapping[str, str], held: Mapping[str, Any]) -> bool:
    """Tells whether tokens of before are still those of the user that we log in as."""
    same = all(old.get(name, default) == new.get(name, default) for name, default in (("flow", Flow.WEB.value), ("jwt_user", "")))
    return same and given.get("client_id", held.get("client_id")) == held.get("client_id")


@dataclass(frozen=True, slots=True)
class LoginHost:
    """Where people log in, as the form asks for it: one of Salesforce's two hosts, or a domain of one's own."""

    choice: str
    own_domain: str = ""

    @classmethod
    def of(cls, login_url: str) -> LoginHost:
        choice = {PRODUCTION: "production", TEST: "test"}.get(login_url.rstrip("/"), "own")
        return cls(choice, login_url if choice == "own" else "")


@dataclass(frozen=True, slots=True)
class KeyField:
    """How one object type stands with the field that takes our key, and how that is defined: `line` is what the last test
    said, None before one."""

    definition: KeyDefinition
    line: Check | None

    @property
    def is_there(self) -> bool:
        return self.line is not None and not self.line.is_warning


def key_fields(connection: Connection) -> list[KeyField]:
    """Returns the object types that records are made of, each with its field as it should be; [] while none is named."""
    name = str(connection.settings.get("external_id_field", EXTERNAL_ID_FIELD))
    lines = key_lines(Check(**line) for line in connection.checks)
    written = [want.object_type for want in WANTED if want.is_written]
    return [KeyField(KeyDefinition(object_type, name), lines.get(object_type)) for object_type in written] if name else []


def without_key(stored: Iterable[str], lines: Iterable[Check]) -> list[str]:
    """Returns the object types whose creates cannot rely on the key field, by what a test found; a type that it could not
    look at stays as it was."""
    found = key_lines(lines)
    lacking = {object_type for object_type, line in found.items() if line.is_warning}
    return sorted(lacking | (set(stored) - set(found)))
