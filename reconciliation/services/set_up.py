"""Makes connections, default mapping tables and passes; told twice it changes nothing (S0.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from connectors.salesforce.settings import EXTERNAL_ID_FIELD
from reconciliation.defaults.accounts import ACCOUNTS
from reconciliation.defaults.activities import (
    ACTIVITIES_INTERVAL,
    ACTIVITIES_PASS,
    ACTIVITIES_TABLE,
    ACTIVITIES_TITLE,
    ACTIVITY_OBJECT,
)
from reconciliation.defaults.contacts import CONTACTS
from reconciliation.defaults.emails import EMAILS_INTERVAL, EMAILS_PASS, EMAILS_TABLE, EMAILS_TITLE
from reconciliation.defaults.events import EVENTS
from reconciliation.defaults.organisations import STANDARD_RULES
from reconciliation.defaults.prospects import PROSPECTS
from reconciliation.defaults.rows import StandardPass, StandardType
from reconciliation.defaults.tasks import TASKS
from reconciliation.engine import activity_terms
from reconciliation.engine.mailbox_terms import ADMIN
from reconciliation.engine.worlds import forget_other_worlds
from reconciliation.models import ActivityFeed, Connection, FieldRule, Mailbox, MappingTable, MappingVersion, RecordType, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.passes.activities import CRM_TASK, TYPES
from reconciliation.passes.emails import CRM_EMAIL, MAIL
from reconciliation.services.mailboxes import mailbox_add
from reconciliation.services.service_accounts import account_shown
from reconciliation.services.webhooks import HOOK_SECRET

ORGANISATIONS_PASS = "organisations"
OF_THEIR_OWN = "Give real systems an installation of their own: played records must not meet real ones."


class SetUpRefused(ValueError):
    """A pair of systems that cannot be; the sentence says why."""


def refuse_second(system: str) -> None:
    """Raises SetUpRefused where a connection of this system would be a second one (D32): a peer's records hold one key of
    one CRM, and a CRM's records one Outreach Id. A third system beside a pair is none."""
    there = Connection.objects.filter(system=system).first()
    sync_pass = SyncPass.objects.select_related("crm", "peer").filter(name=ORGANISATIONS_PASS).first()
    if sync_pass is not None and system in (sync_pass.crm.system, sync_pass.peer.system):
        _refuse_other_pair(sync_pass, system)
    if there is None and Connection.objects.filter(is_sandbox=True).exists():
        raise SetUpRefused(f"The connections here are the sandbox's. {OF_THEIR_OWN}")
    if there is not None:
        raise SetUpRefused(f"There is a connection “{there}” already. Open it and change it instead.")


def _refuse_other_pair(sync_pass: SyncPass, system: str) -> None:
    crm, peer = sync_pass.crm, sync_pass.peer
    if system == Connection.System.OUTREACH:
        reason = f"“{crm}” sends its organisations to “{peer}” already: Outreach Id has room for one account, a second would overwrite it."
    else:
        reason = (
            f"“{peer}” has a CRM of record already, “{crm}”: an account's key (customId) has room for one, and a second would overwrite it."
        )
    if crm.is_sandbox:
        reason += f" That pair is the sandbox's. {OF_THEIR_OWN}"
    raise SetUpRefused(reason)


def pair_up() -> list[SyncPass]:
    """Returns the passes that are new now that another connection is there, switched off (D27: they are switched on by a
    person who has seen their preview); none as long as a CRM or the peer is missing."""
    known = set(SyncPass.objects.whole().values_list("pk", flat=True))
    rows = {row.system: row for row in Connection.objects.order_by("-pk")}  # the first of a system, should there be more
    peer, crm, salesforce = (rows.get(s) for s in (Connection.System.OUTREACH, Connection.System.WORKBOOKS, Connection.System.SALESFORCE))
    if peer is not None and crm is not None:
        organisations_pass(crm, peer)
    if peer is not None and salesforce is not None:
        salesforce_passes(salesforce, peer)
    for system in (Connection.System.MICROSOFT, Connection.System.GOOGLE, Connection.System.EXCHANGE):
        if salesforce is not None and system in rows:
            contacts_pass(salesforce, rows[system])
            events_pass(salesforce, rows[system])
            tasks_pass(salesforce, rows[system])
            emails_pass(salesforce, rows[system])
    return list(SyncPass.objects.whole().select_related("crm", "peer", "mapping").exclude(pk__in=known).order_by("pk"))


@transaction.atomic
def connect_sandbox(description: Mapping[str, Any]) -> tuple[SyncPass, bool]:
    """Makes or refreshes the connections of a sandbox from what its control port says; Salesforce where it is played, too.
    Returns the organisations pass and whether what was known of an earlier world was forgotten. Idempotent: what staff
    chose of connections, mappings, passes and record types stays."""
    crm = _connection("Workbooks (sandbox)", "workbooks", description, settle_seconds=0)
    peer = _connection("Outreach (sandbox)", "outreach", description, settle_seconds=2)
    sync_pass = organisations_pass(crm, peer)
    if "salesforce" in description:
        salesforce = _connection("Salesforce (sandbox)", "salesforce", description, settle_seconds=0)
        salesforce_passes(salesforce, peer)
        for system, name in MAIL_SYSTEMS.items():
            if system in description:
                row = _connection(name, system, description, settle_seconds=0)
                contacts_pass(salesforce, row)
                events_pass(salesforce, row)
                tasks_pass(salesforce, row)
                emails_pass(salesforce, row)
    forgot = forget_other_worlds(sync_pass, str(description["world_id"]))
    _sandbox_mailboxes(description)
    return sync_pass, forgot


AT_ONCE = 2
MAIL_SYSTEMS = {"microsoft": "Microsoft 365 (sandbox)", "google": "Google (sandbox)", "exchange": "Exchange (sandbox)"}


def _sandbox_mailboxes(description: Mapping[str, Any]) -> None:
    """Adds the mailboxes that a sandbox plays; what staff made of those that are there stays. They start as soon as *Contacts* is
    switched on, but for those beyond AT_ONCE of each system: their first run is a preview, as over real systems."""
    for row in Connection.objects.filter(system__in=MAIL_SYSTEMS, is_sandbox=True):
        for n, address in enumerate(description.get(row.system, {}).get("mailboxes", ())):
            if not Mailbox.objects.filter(connection=row, address__iexact=str(address)).exists():
                mailbox_add(row, str(address), None, is_planned_first=n >= AT_ONCE)


# What the sandbox says of itself, so that it is taken anew each time; everything else in a connection's settings is staff's.
SAID = ("database_id", "control_url", "tenant")
FIRST = {  # what a new connection to a sandbox begins with
    "salesforce": lambda given: {"external_id_field": EXTERNAL_ID_FIELD, "api_version": given["api_version"]},
    # The pause between calls keeps a quota that nobody has here.
    "google": lambda given: {"flow": "service_account", "pause": 0, "directory_user": next(iter(given.get("mailboxes", ())), "")},
    "exchange": lambda given: {"proof": "basic", "user": given["username"], "mailboxes": list(given.get("mailboxes", ()))},
}
SECRETS = ("api_key", "username", "password", "access_token", "client_id", "client_secret", "refresh_token")
# Of these no tokens are given: they are asked for, or there are none.
OWN_SECRETS = {"microsoft": ("client_id", "client_secret"), "google": ("service_account",), "exchange": ("password",)}
LOGS_IN_THERE = ("salesforce", "microsoft", "google")  # at a host that is apart from the records' elsewhere
OF_STAFF = (HOOK_SECRET, "jwt_key")  # secrets that a sandbox does not give
OF_OLD_TOKENS = ("granted_scope", "redirect_uri", "organisation", "organisation_id")
PAGES = {"workbooks": "organisations/{id}", "outreach": "accounts/{id}", "salesforce": "{object}/{id}"} | dict.fromkeys(
    MAIL_SYSTEMS, "{object}/{id}"
)


def _connection(name: str, system: str, description: Mapping[str, Any], *, settle_seconds: int) -> Connection:
    given = dict(description[system])
    web_url = given.get("web_url", "")
    page = PAGES[system]
    secrets = {k: given[k] for k in OWN_SECRETS.get(system, SECRETS) if k in given}
    row = Connection.objects.filter(system=system, is_sandbox=True).order_by("pk").first()
    if row is None:
        own = FIRST[system](given) if system in FIRST else {}
        row = Connection(name=name, system=system, is_sandbox=True, settle_seconds=settle_seconds, settings=own)
    row.base_url = given["base_url"]
    row.login_url = row.base_url if system in LOGS_IN_THERE else ""
    if web_url and (not row.page_address_template or row.page_address_template.endswith(f"/browse/{system}/{page}")):
        row.page_address_template = f"{web_url}/{page}"
    said = {k: v for k, v in {**given, **description}.items() if k in SAID and v}
    row.settings = {k: v for k, v in (row.settings or {}).items() if k not in OF_OLD_TOKENS} | said
    row.secrets = {k: v for k, v in (row.secrets or {}).items() if k in OF_STAFF} | secrets
    if "service_account" in secrets:
        row.settings["service_account"] = account_shown(secrets["service_account"])
    row.renewal_begun_at = row.refresh_used_at = None  # these tokens are new
    row.save()
    return row


def salesforce_passes(crm: Connection, peer: Connection) -> tuple[SyncPass, ...]:
    """Returns the passes between Salesforce and Outreach, the two-way ones made with their record types and default mappings
    when they are new. Raises SetUpRefused when they are another pair's."""
    return (*(two_way_pass(standard, crm, peer) for standard in (PROSPECTS, ACCOUNTS)), activities_pass(crm, peer))


def activities_pass(crm: Connection, peer: Connection) -> SyncPass:
    """Returns the pass that carries activities of Outreach into Salesforce, made off when it is new (D27), with a cursor for each
    type of activity. Raises SetUpRefused when it is another pair's."""
    _refuse_other(ACTIVITIES_PASS, crm, peer)
    objects = {"crm_object": CRM_TASK, "peer_object": ACTIVITY_OBJECT}
    table, _ = MappingTable.objects.get_or_create(name=ACTIVITIES_TABLE, defaults=objects)
    now = timezone.now().replace(microsecond=0)
    sync_pass, is_new = SyncPass.objects.get_or_create(
        name=ACTIVITIES_PASS,
        defaults={
            "title": ACTIVITIES_TITLE,
            "crm": crm,
            "peer": peer,
            "mapping": table,
            "interval_seconds": ACTIVITIES_INTERVAL,
            "last_run_time": now,
            "settings": activity_terms.setting(now, chosen=False),
        },
    )
    if is_new:
        common = {"sync_pass": sync_pass, "last_run_time": now}
        ActivityFeed.objects.bulk_create(ActivityFeed(object_type=t, order=n, **common) for n, t in enumerate(TYPES))
    return sync_pass


def _refuse_other(name: str, crm: Connection, peer: Connection) -> None:
    other = SyncPass.objects.select_related("crm", "peer").filter(name=name).exclude(crm=crm, peer=peer).first()
    if other is not None:
        raise SetUpRefused(f"“{other}” keeps “{other.crm}” and “{other.peer}” in agreement already; it cannot be another pair's, too.")


def two_way_pass(standard: StandardPass, crm: Connection, peer: Connection) -> SyncPass:
    """Returns the pass, made as it is shipped when it is new; one that is there stays as staff left it, with every type it
    lacks added. Raises SetUpRefused when it is another pair's."""
    _refuse_other(standard.name, crm, peer)
    tables = [_table(kind) for kind in standard.types]
    now, is_on = timezone.now().replace(microsecond=0), standard.is_on_in_sandbox and crm.is_sandbox and peer.is_sandbox
    sync_pass, _ = SyncPass.objects.get_or_create(
        name=standard.name,
        defaults={
            "title": standard.title,
            "crm": crm,
            "peer": peer,
            "mapping": tables[0],
            "interval_seconds": standard.interval_seconds,
            "is_on": is_on,
            "switched_on_at": timezone.now() if is_on else None,
            "last_run_time": now,  # as in `organisations_pass` (D27)
            "settings": _set_for_mailboxes() if standard.name in MAILBOX_PASSES else {},
        },
    )
    for order, (kind, table) in enumerate(zip(standard.types, tables, strict=True)):
        RecordType.objects.get_or_create(
            sync_pass=sync_pass,
            crm_object=kind.crm_object,
            defaults={
                "peer_object": kind.peer_object,
                "mapping": table,
                "order": order,
                "outbound_create": kind.outbound_create,
                "last_run_time": sync_pass.last_run_time,
            },
        )
    return sync_pass


def contacts_pass(crm: Connection, peer: Connection) -> SyncPass:
    """Returns the pass over mailboxes of a mail system, made as it is shipped when it is new: off, with what is off in it for
    every mailbox (S1.3). A second mail system shares it: each mailbox knows its own connection."""
    return _over_mailboxes(CONTACTS, crm, peer)


def events_pass(crm: Connection, peer: Connection) -> SyncPass:
    """Returns the pass over the calendars of mailboxes, as `contacts_pass`."""
    return _over_mailboxes(EVENTS, crm, peer)


def tasks_pass(crm: Connection, peer: Connection) -> SyncPass:
    """Returns the pass over the tasks of mailboxes, as `contacts_pass`."""
    return _over_mailboxes(TASKS, crm, peer)


def emails_pass(crm: Connection, peer: Connection) -> SyncPass:
    """Returns the pass that saves e-mails of mailboxes, made off when it is new, with nothing to map; a second mail system shares it.
    What an admin set for all mailboxes holds for it, too."""
    existing = SyncPass.objects.filter(name=EMAILS_PASS).first()
    if existing is not None and existing.crm_id == crm.pk:
        return existing
    _refuse_other(EMAILS_PASS, crm, peer)
    table, _ = MappingTable.objects.get_or_create(name=EMAILS_TABLE, defaults={"crm_object": CRM_EMAIL, "peer_object": MAIL})
    defaults = {"title": EMAILS_TITLE, "crm": crm, "peer": peer, "mapping": table, "interval_seconds": EMAILS_INTERVAL}
    return SyncPass.objects.get_or_create(name=EMAILS_PASS, defaults={**defaults, "settings": _set_for_mailboxes()})[0]


def _set_for_mailboxes() -> dict[str, Any]:
    """Returns what an admin set for all mailboxes: it holds for a pass over them that is new, too."""
    said = SyncPass.objects.whole().filter(name__in=MAILBOX_PASSES, settings__has_key=ADMIN).values_list("settings", flat=True).first()
    return {ADMIN: said[ADMIN]} if said else {}


def _over_mailboxes(standard: StandardPass, crm: Connection, peer: Connection) -> SyncPass:
    existing = SyncPass.objects.filter(name=standard.name).first()
    return existing if existing is not None and existing.crm_id == crm.pk else two_way_pass(standard, crm, peer)


def _table(kind: StandardType) -> MappingTable:
    """Returns the mapping table, made with its standard rows when it is new."""
    objects = {"crm_object": kind.crm_object, "peer_object": kind.peer_object}
    table, is_new = MappingTable.objects.get_or_create(name=kind.table, defaults=objects)
    if is_new:
        FieldRule.objects.bulk_create(
            FieldRule(
                table=table,
                crm_field=row.crm,
                peer_field=row.peer,
                direction=row.direction.value,
                transform=row.transform,
                survivorship=row.survivorship.value,
                default_in_crm=row.in_crm,
                value_map=[list(pair) for pair in row.pairs],
                blank_to_peer=row.has_blanks,
                blank_to_crm=row.has_blanks,
                is_enabled=row.is_enabled,
                is_standard=True,
            )
            for row in kind.rows
        )
        MappingVersion.keep(table, reason="The standard fields.")
    return table


def organisations_pass(crm: Connection, peer: Connection) -> SyncPass:
    """Returns the pass of seed 000 between two connections, made with its default mapping when it is new, on for a
    sandbox and off for real systems. Raises SetUpRefused when it is another pair's."""
    other = SyncPass.objects.select_related("crm", "peer").filter(name=ORGANISATIONS_PASS).exclude(crm=crm, peer=peer).first()
    if other is not None:
        _refuse_other_pair(other, peer.system if other.crm_id == crm.pk else crm.system)
    table, is_new = MappingTable.objects.get_or_create(
        name="Organisations → Accounts", defaults={"crm_object": "organisation", "peer_object": "account"}
    )
    if is_new:
        FieldRule.objects.bulk_create(
            FieldRule(table=table, crm_field=crm_field, peer_field=peer_field, transform=transform, is_standard=True)
            for crm_field, peer_field, transform in STANDARD_RULES
        )
        MappingVersion.keep(table, reason="The standard fields.")
    is_sandbox = crm.is_sandbox and peer.is_sandbox  # a real pass is off until its first preview was looked at (C33)
    sync_pass, _ = SyncPass.objects.get_or_create(
        name=ORGANISATIONS_PASS,
        # Before the first run, Last Run Time is the moment of switching on (D27).
        defaults={
            "title": "Outreach Send/Receive",
            "crm": crm,
            "peer": peer,
            "mapping": table,
            "is_on": is_sandbox,
            "switched_on_at": timezone.now() if is_sandbox else None,
            "last_run_time": timezone.now().replace(microsecond=0),
        },
    )
    return sync_pass
