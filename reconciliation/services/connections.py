"""What an admin may do with a connection."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from connectors.contract import Check, Connector, Identity
from connectors.errors import ConnectionTrouble, ConnectorError, NeedsAttention, connection_sentence
from connectors.http import HttpClient
from connectors.salesforce.login import PRODUCTION
from connectors.text import clean
from reconciliation.core.counting import counted
from reconciliation.engine import stop
from reconciliation.engine.connections import CANDIDATE, forget_mailbox_tokens, store_candidate
from reconciliation.engine.hosts import LOOPBACK, host_of, is_allowed_host
from reconciliation.engine.pair_terms import database_of
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Connection, Policy, SyncPass
from reconciliation.passes.organisations import marker_of
from reconciliation.passes.pairs import MARKER as PAIR_MARKER
from reconciliation.services.audit import audit
from reconciliation.services.fields import fields_find
from reconciliation.services.mail_systems import OWN as OWN_OF_MAIL
from reconciliation.services.mail_systems import (
    MailChange,
    MailRefused,
    mail_credentials_check,
    mail_logs_in_as_before,
    mail_settings,
    needless_secrets,
)
from reconciliation.services.mailbox_reach import one_mailbox
from reconciliation.services.mailboxes import MAIL_SYSTEMS
from reconciliation.services.salesforce import OWN as SALESFORCE_SETTINGS
from reconciliation.services.salesforce import (
    SalesforceChange,
    SalesforceRefused,
    credentials_check,
    logs_in_as_before,
    salesforce_settings,
    without_key,
)
from reconciliation.services.schemas import schemas_read
from reconciliation.services.set_up import SetUpRefused, pair_up, refuse_second
from reconciliation.services.webhooks import HOOK_SECRET, without_hooks

# What people enter for each system; shown as fields that can be written and never read. Tokens come by Connect.
SECRETS = {"workbooks": ("api_key",)} | dict.fromkeys(("outreach", "salesforce", "microsoft", "google"), ("client_id", "client_secret"))
SECRETS["exchange"] = ("password",)
MAIL_SETTINGS = tuple(name for names in OWN_OF_MAIL.values() for name in names)
KEY = "jwt_key"  # the private key of a log-in by certificate: signed with, never sent
TOKENS = ("access_token", "refresh_token", "expires_at", "address", "identity", CANDIDATE, HOOK_SECRET)
DEFAULTS = {
    "workbooks": ("Workbooks", "https://secure.workbooks.com"),
    "outreach": ("Outreach", "https://api.outreach.io"),
    "salesforce": ("Salesforce", PRODUCTION),
    "microsoft": ("Microsoft 365", "https://graph.microsoft.com"),
    "google": ("Google", "https://people.googleapis.com"),
    "exchange": ("Exchange", ""),
}
# Where tokens come from, of systems that have that apart from their records.
LOGIN_DEFAULTS = {"microsoft": "https://login.microsoftonline.com", "google": "https://oauth2.googleapis.com"}
OF_ITS_OWN = (Connection.System.SALESFORCE, *MAIL_SYSTEMS)  # what these need depends on how they log in
SHORT_LIVED = ("access_token", "expires_at", "address")  # what a log-in gave: a token, and where it holds
SETTLE_SECONDS = {"workbooks": 0, "outreach": 120, "salesforce": 10, "microsoft": 10, "google": 10, "exchange": 10}
AUDITED = ("least_tls", "allow_private", "database_id", *dict.fromkeys((*SALESFORCE_SETTINGS, *MAIL_SETTINGS)))
PLAIN = ("name", "base_url", "login_url", "page_address_template", "settle_seconds", "secret_expires_on")


class ConnectionRefused(ValueError):
    """A value that a connection must not have; the sentence says why."""


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """What an admin entered. A secret that is blank keeps its value; so does a blank database id."""

    name: str
    base_url: str
    page_address_template: str
    settle_seconds: int
    secrets: Mapping[str, str] = field(repr=False)
    login_url: str = ""
    secret_expires_on: date | None = None
    allows_tls_12: bool = False
    allows_private: bool = False
    database_id: str = ""
    salesforce: SalesforceChange | None = None
    mail: MailChange | None = None


def connection_add(system: str, change: ConnectionChange, by: AbstractBaseUser) -> Connection:
    """Returns a new connection. The second of a pair brings mapping table and pass with it, switched off (D27). Raises
    ConnectionRefused, storing nothing."""
    draft, given = Connection(system=system), _given(system, change)
    missing = [name.replace("_", " ") for name in SECRETS[system] if not given.get(name)]
    if missing and system not in OF_ITS_OWN:
        raise ConnectionRefused(f"Enter the {' and the '.join(missing)}.")
    if system == Connection.System.OUTREACH and not change.page_address_template:
        raise ConnectionRefused("Enter the address of an account's page: Workbooks shows it as Outreach URL.")
    with transaction.atomic():
        Policy.lock()  # somebody may be adding one at this moment
        try:
            refuse_second(system)
        except SetUpRefused as refusal:
            raise ConnectionRefused(str(refusal)) from None
        _check(draft, change)
        own = _settings(draft, change)
        _check_credentials(system, given, own, change)
        row = Connection.objects.create(system=system, settings=own, secrets=given, **_plain(change, own))
        audit(by, "add connection", row.name, system=system, base_url=row.base_url)
        for sync_pass in pair_up():
            audit(by, "make pass", sync_pass.title, crm=sync_pass.crm.name, peer=sync_pass.peer.name, is_on=sync_pass.is_on)
            if sync_pass.crm.system == Connection.System.WORKBOOKS:
                fields_find(sync_pass)  # it may have been tested before
    return row


def connection_save(
    connection: Connection, change: ConnectionChange, by: AbstractBaseUser | None = None, *, wiring: Wiring | None = None
) -> None:
    """Stores the change. With `wiring`, new credentials that need no consent are asked whose they are first: with those of
    another database the next run would take its records for those that are linked. Raises ConnectionRefused, storing
    nothing."""
    _check(connection, change)
    known, given = SECRETS[connection.system], _given(connection.system, change)
    if wiring is not None and "api_key" in given:
        _refuse_other_database(connection, change, given, wiring)
    if wiring is not None and connection.system in OF_ITS_OWN:
        _refuse_other_organisation(connection, change, given, wiring)
    with transaction.atomic():
        Policy.lock()
        _refuse_taken(connection, change.name)
        row = Connection.objects.select_for_update().get(pk=connection.pk)  # a token may be rotated at this moment
        moved = _is_moved(row, change)
        if moved and (missing := [k for k in known if row.secrets.get(k) and k not in given]):
            names = ", ".join(name.replace("_", " ") for name in missing)
            raise ConnectionRefused(
                f"The address names another host. Secrets are never sent to a host they were not given for: enter {names} anew."
            )
        own = _settings(row, change)
        own = without_hooks(own) if moved else own  # they are registered at the other host
        is_other = (row.base_url, row.login_url) != (change.base_url.rstrip("/"), change.login_url.rstrip("/"))
        secrets = _secrets_after(row, given, own, is_moved=moved, is_other_address=is_other)
        _check_credentials(row.system, secrets, own, change)
        before = {n: getattr(row, n) for n in PLAIN} | {n: row.settings.get(n) for n in AUDITED}
        for name, value in _plain(change, own).items():
            setattr(row, name, value)
        row.settings, row.state, row.last_error = own, Connection.State.UNTESTED, ""
        is_other, row.secrets = secrets != row.secrets, secrets
        row.save(update_fields=[*PLAIN, "settings", "state", "last_error", *(["secrets"] if is_other else [])])
        if moved or not _logs_in_as_before(connection, own, given):
            forget_mailbox_tokens(row)
        after = {n: getattr(row, n) if n in PLAIN else own.get(n) for n in before}
        changed = {n: [_shown(old), _shown(after[n])] for n, old in before.items() if old != after[n]}
        audit(by, "change connection", row.name, **changed, **({"secrets_replaced": sorted(given)} if given else {}))


def _given(system: str, change: ConnectionChange) -> dict[str, Any]:
    """Returns the secrets that were entered, with the key that was uploaded."""
    given = {k: v for k, v in change.secrets.items() if v and k in SECRETS[system]}
    pair = change.salesforce.pair if change.salesforce is not None else None
    uploaded = change.mail.secrets() if change.mail is not None else {}
    return given | ({KEY: pair.key} if pair is not None else {}) | uploaded


def _is_moved(row: Connection, change: ConnectionChange) -> bool:
    """Tells whether the change leads to a host that the row did not name."""
    return bool({host_of(change.base_url), host_of(change.login_url)} - {host_of(row.base_url), host_of(row.login_url), ""})


def _secrets_after(
    row: Connection, given: Mapping[str, Any], own: Mapping[str, Any], *, is_moved: bool, is_other_address: bool = False
) -> dict[str, Any]:
    """Returns the secrets once the change is stored: without tokens that another host, app or user was given, and without
    a key that is no longer used. At another address of the same host the next call asks that one for a token."""
    gone = {
        *(TOKENS if is_moved or not _logs_in_as_before(row, own, given) else ()),
        *(SHORT_LIVED if is_other_address else ()),
        *([KEY] if own.get("flow", Connection.Flow.JWT) != Connection.Flow.JWT else []),
        *needless_secrets(row.system, own),
    }
    return {k: v for k, v in {**row.secrets, **given}.items() if k not in gone}


def _logs_in_as_before(row: Connection, own: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Tells whether tokens of before are still those of whom we log in as."""
    if row.system in MAIL_SYSTEMS:
        return mail_logs_in_as_before(row.system, row.settings, own, given, row.secrets)
    return row.system != Connection.System.SALESFORCE or logs_in_as_before(row.settings, own, given, row.secrets)


def _check_credentials(system: str, secrets: Mapping[str, Any], own: Mapping[str, Any], change: ConnectionChange) -> None:
    """Raises ConnectionRefused where the way to log in that was chosen lacks something; systems without a choice were looked at
    before."""
    try:
        if system == Connection.System.SALESFORCE:
            credentials_check(secrets, own, change.login_url or change.base_url)
        elif system in MAIL_SYSTEMS:
            mail_credentials_check(system, secrets, own)
    except (SalesforceRefused, MailRefused) as refusal:
        raise ConnectionRefused(str(refusal)) from None


def _refuse_other_organisation(connection: Connection, change: ConnectionChange, given: Mapping[str, Any], wiring: Wiring) -> None:
    """Raises ConnectionRefused when a log-in without a person belongs to another organisation than the records linked so
    far, and when nobody can say so. Consent is asked whose it is when it comes back. A service account names its user itself, and
    mailboxes of another organisation have other addresses."""
    own = _settings(connection, change)
    known = str(own.get("organisation_id", ""))
    is_same = not given and not _is_moved(connection, change) and _logs_in_as_before(connection, own, given)
    is_asked_later = own.get("flow") == Connection.Flow.WEB or connection.system in (Connection.System.GOOGLE, Connection.System.EXCHANGE)
    if is_asked_later or is_same or not known or not _has_links(connection):
        return
    draft = copy.copy(connection)
    draft.base_url, draft.login_url, draft.settings = change.base_url.rstrip("/"), change.login_url.rstrip("/"), own
    draft.secrets = _secrets_after(connection, given, own, is_moved=True)
    _check_credentials(connection.system, draft.secrets, own, change)
    try:
        connector = wiring.open_connector(draft, is_candidate=True)
        try:
            said = connector.identity()
        finally:
            connector.close()
    except ConnectorError as error:
        raise ConnectionRefused(
            f"Whose log-in this is could not be asked: {connection_sentence(error)} Nothing was stored, for the records linked so far "
            "are of one organisation."
        ) from None
    finally:
        with transaction.atomic():
            store_candidate(Connection.objects.select_for_update().get(pk=connection.pk), None)
    if said.organisation_id != known:
        raise ConnectionRefused(f"That log-in belongs to “{said.organisation}”, but the records linked so far are of another organisation.")


def _has_links(connection: Connection) -> bool:
    return Binding.objects.filter(Q(sync_pass__crm=connection) | Q(sync_pass__peer=connection)).exists()


def _refuse_other_database(connection: Connection, change: ConnectionChange, given: Mapping[str, str], wiring: Wiring) -> None:
    """Raises ConnectionRefused when the key says that it belongs to another database than the connection's, and when
    nobody can say so while organisations are linked."""
    draft = copy.copy(connection)
    draft.base_url, draft.secrets, draft.settings = (
        change.base_url.rstrip("/"),
        {**connection.secrets, **given},
        _settings(connection, change),
    )
    try:
        connector = wiring.open_connector(draft)
        try:
            said = connector.identity()
        finally:
            connector.close()
    except ConnectorError as error:
        if not Binding.objects.filter(sync_pass__crm=connection).exists():
            return  # its test will say so
        why = "a key of another database would take its organisations for those that are linked"
        raise ConnectionRefused(
            f"Whose key this is could not be asked: {connection_sentence(error)} Nothing was stored, for {why}."
        ) from None
    ours = str(draft.settings.get("database_id", ""))
    if ours and said.organisation_id not in ("", ours):
        raise ConnectionRefused(f"This key belongs to database {said.organisation_id} ({said}); the connection is of database {ours}.")


def _plain(change: ConnectionChange, own: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the columns that hold what was entered. A certificate says itself when it ends."""
    certificate = own.get("certificate")
    return {
        "name": change.name.strip(),
        "base_url": change.base_url.rstrip("/"),
        "login_url": change.login_url.rstrip("/"),
        "page_address_template": change.page_address_template,
        "settle_seconds": change.settle_seconds,
        "secret_expires_on": date.fromisoformat(certificate["ends_on"]) if certificate else change.secret_expires_on,
    }


def _settings(connection: Connection, change: ConnectionChange) -> dict[str, Any]:
    """Returns the settings with what was entered. Raises ConnectionRefused for another database than the one whose id
    stands in the keys of accounts."""
    own = {k: v for k, v in (connection.settings or {}).items() if k not in ("least_tls", "allow_private")}
    old, new = str(own.get("database_id", "")), change.database_id.strip()
    if new and new != old:
        if old and Binding.objects.filter(sync_pass__crm=connection).exists():
            raise ConnectionRefused(f"The keys of accounts made so far name database {old}; it cannot become {new} any more.")
        if not (new.isascii() and new.isalnum() and len(new) <= 20):
            raise ConnectionRefused("The database id is a number, such as 3.")
        own["database_id"] = new
    try:
        if connection.system == Connection.System.SALESFORCE:
            own = salesforce_settings(own, change.salesforce or SalesforceChange())
        elif change.mail is not None:
            own = mail_settings(change.mail, own)
    except (SalesforceRefused, MailRefused) as refusal:
        raise ConnectionRefused(str(refusal)) from None
    return own | ({"least_tls": "1.2"} if change.allows_tls_12 else {}) | ({"allow_private": True} if change.allows_private else {})


def _shown(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _check(connection: Connection, change: ConnectionChange) -> None:
    if not change.name.strip():
        raise ConnectionRefused("A connection needs a name.")
    _refuse_taken(connection, change.name)
    if not 0 <= change.settle_seconds <= 3600:
        raise ConnectionRefused("The settle time must lie between 0 and 3,600 seconds.")
    if change.page_address_template and "{id}" not in change.page_address_template:
        raise ConnectionRefused("The page address needs {id} where the record's id belongs.")
    if change.page_address_template:
        page = change.page_address_template.replace("{id}", "1").replace("{object}", "x")
        _check_address("The page address", connection.system, page, change.allows_private)
    for what, address in (("The address", change.base_url), ("The log-in address", change.login_url)):
        if not address and what == "The log-in address":
            continue
        _check_address(what, connection.system, address, change.allows_private)
        if connection.is_sandbox and host_of(address) not in LOOPBACK:
            raise ConnectionRefused(f"{what}: this connection is the demonstration's. Give real systems an installation of their own.")
        if not is_allowed_host(connection.system, host_of(address)):
            hosts = ", ".join(settings.SYSTEM_HOSTS[connection.system])
            name = connection.get_system_display()
            raise ConnectionRefused(
                f"{what}: {name} is reached at {hosts}. Another host must be allowed first, with the setting SYSTEM_HOSTS."
            )


def _refuse_taken(connection: Connection, name: str) -> None:
    if Connection.objects.filter(name=name.strip()).exclude(pk=connection.pk).exists():
        raise ConnectionRefused("Another connection has this name.")


def _check_address(what: str, system: str, address: str, allows_private: bool) -> None:
    """Raises ConnectionRefused for an address that is none, is not https, names a private host where none is allowed, or
    holds a password."""
    try:
        has_user = bool(urlsplit(address).username or urlsplit(address).password)
        if has_user:
            raise ConnectionRefused(f"{what} must not hold a user name or password; enter secrets in their own fields.")
        HttpClient(system, address, allow_loopback=settings.ALLOW_LOOPBACK, allow_private=allows_private).close()
    except ConnectorError as error:
        raise ConnectionRefused(f"{what}: {error.detail}.") from None
    except ConnectionRefused:
        raise
    except ValueError:
        raise ConnectionRefused(f"{what} is not a web address.") from None


def connection_test(connection: Connection, *, wiring: Wiring | None = None) -> list[Check]:
    """Returns a line for everything the product needs of this connection, a warning where another engine is at work on
    the same records, and keeps the lines and the schema it describes."""
    wiring = wiring or Wiring()
    try:
        connector = wiring.open_connector(connection)
    except ConnectorError as error:
        passes = isinstance(error, ConnectionTrouble) and not isinstance(error, NeedsAttention)
        lines = [Check("Open the connection", False, connection_sentence(error), passes=passes)]
    else:
        try:
            lines = connector.check(may_send=not stop.stopped_sentence())
            if connection.system == Connection.System.SALESFORCE:
                _note_keys(connection, lines)
            if all(line.is_ok for line in lines) and connection.system in MAIL_SYSTEMS:
                lines += one_mailbox(connection, connector)
            if all(line.is_ok for line in lines):
                lines += [_know_who(connection, connector), *connector.rivals(own_prefix(connection)), _keep_schema(connection, connector)]
        finally:
            connector.close()
    lines = [replace(line, sentence=clean(line.sentence)[0]) for line in lines]  # systems' words may hold what no database can
    failing = [line for line in lines if not line.is_ok]
    now = timezone.now()
    Connection.objects.filter(pk=connection.pk).update(
        state=_state_of(failing),
        last_error=failing[0].sentence if failing else "",
        last_error_at=now if failing else None,
        checks=[asdict(line) for line in lines],
        tested_at=now,
    )
    return lines


def _note_keys(connection: Connection, lines: list[Check]) -> None:
    """Remembers for which objects creates must look before they make: the key field is not there, or is not as it must be."""
    with transaction.atomic():
        row = Connection.objects.select_for_update().get(pk=connection.pk)
        lacking = without_key(row.settings.get("without_external_id", ()), lines)
        own = {k: v for k, v in row.settings.items() if k != "without_external_id"} | ({"without_external_id": lacking} if lacking else {})
        Connection.objects.filter(pk=row.pk).update(settings=own)


def _state_of(failing: list[Check]) -> str:
    """Returns the state that a test leaves: what passes by itself needs no person (engine-rules 4)."""
    if not failing:
        return Connection.State.OK
    return Connection.State.WAITING if all(line.passes for line in failing) else Connection.State.NEEDS_ATTENTION


def own_prefix(connection: Connection) -> str:
    """Returns what our own keys in this system start with, "" as long as the database is not known."""
    if connection.system == Connection.System.SALESFORCE:
        return f"{PAIR_MARKER}{database_of(Connection.objects.get(pk=connection.pk))}-"  # a test may just have learnt whose it is
    crm = connection if connection.system == Connection.System.WORKBOOKS else None
    if crm is None:
        sync_pass = SyncPass.objects.select_related("crm").filter(peer=connection, crm__system=Connection.System.WORKBOOKS).first()
        crm = sync_pass.crm if sync_pass else Connection.objects.filter(system=Connection.System.WORKBOOKS).first()
    database = str(crm.settings.get("database_id", "")) if crm else ""
    return marker_of(database, "") if database else ""


def _know_who(connection: Connection, connector: Connector) -> Check:
    """Remembers whom the system takes us for, and the database of a key when it is new."""
    name = "Who we are there"
    has_database = connection.system == Connection.System.WORKBOOKS
    stored = str(connection.settings.get("database_id", ""))
    ask = "Enter the database id on this page; Workbooks shows it under Configuration, Database."
    try:
        said = connector.identity()
    except ConnectorError as error:
        is_enough = bool(stored) or not has_database
        return Check(name, is_enough, f"Could not be read: {error.sentence}.", "" if is_enough else ask, is_warning=True)
    words = str(said) or "The system does not say."
    Connection.objects.filter(pk=connection.pk).update(connected_as=str(said)[:210])
    if connection.system in (Connection.System.SALESFORCE, Connection.System.MICROSOFT):
        return _know_organisation(connection, said, name)
    if not has_database:
        return Check(name, True, words)
    if not stored and said.organisation_id:
        with transaction.atomic():
            row = Connection.objects.select_for_update().get(pk=connection.pk)
            Connection.objects.filter(pk=row.pk).update(settings={**row.settings, "database_id": said.organisation_id})
        return Check(name, True, f"{words}, database {said.organisation_id}.")
    if not stored:
        return Check(name, False, "Workbooks does not say which database the key belongs to.", ask)
    if said.organisation_id not in ("", stored):
        sentence = f"The key belongs to database {said.organisation_id} ({words}), but this connection is of database {stored}."
        return Check(name, False, sentence, f"Enter a key of database {stored}: the keys of accounts carry that number.")
    return Check(name, True, f"{words}, database {stored}.")


def _know_organisation(connection: Connection, said: Identity, title: str) -> Check:
    """Remembers the organisation of a log-in without a person, and where its pages are; tells another one than before."""
    with transaction.atomic():
        row = Connection.objects.select_for_update().get(pk=connection.pk)
        known = str(row.settings.get("organisation_id", ""))
        is_unsaid = row.system == Connection.System.MICROSOFT and not said.organisation_id  # its tokens need not be readable
        if known not in ("", said.organisation_id) and not is_unsaid and _has_links(row):
            sentence = f"This log-in belongs to {said}, but the records linked so far are of {row.settings.get('organisation') or known}."
            return Check(title, False, sentence, "Log in to that organisation again: an id of another one names another record there.")
        whose = {"organisation": said.organisation, "organisation_id": said.organisation_id}
        whose = {name: value for name, value in whose.items() if value}
        pages = row.page_address_template
        if not pages and row.system == Connection.System.SALESFORCE:
            pages = f"{row.secrets.get('address') or row.base_url}/{{id}}"  # it leads every id to its page
        Connection.objects.filter(pk=row.pk).update(settings={**row.settings, **whose}, page_address_template=pages)
    return Check(title, True, str(said) or "The system does not say.")


def _keep_schema(connection: Connection, connector: Connector) -> Check:
    try:
        count = schemas_read(connection, connector)
    except ConnectorError as error:
        return Check("Read the field lists", False, connection_sentence(error))
    if connection.system == Connection.System.WORKBOOKS:  # the plugin's fields are its alone
        for sync_pass in SyncPass.objects.select_related("crm").filter(crm=connection):
            fields_find(sync_pass)
    return Check("Read the field lists", True, f"{counted(count, 'field')} known; mappings offer them by name.")
