"""*Test this mailbox*: tries what its passes need, on both sides, and writes nothing there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from connectors.checks import Try, run_checks
from connectors.contract import EVERYTHING, MINE, Check, Connector
from connectors.errors import ConnectionTrouble, ConnectorError, NeedsAttention, connection_sentence
from connectors.mailboxes import ContactBox
from connectors.text import clean
from reconciliation.core.mailbox_people import IS_ACTIVE, NAME
from reconciliation.engine.mailbox_terms import effective_of
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, Mailbox, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.passes.contacts import CONTACT, FOLDER
from reconciliation.services.audit import audit
from reconciliation.services.crm_users import crm_of_mailboxes, users_by_id
from reconciliation.services.mailbox_states import refuse_stranger

ASK_ADMIN = "Choose the user on the mailbox's page."


def mailbox_test(mailbox: Mailbox, by: AbstractBaseUser | None, *, wiring: Wiring | None = None) -> list[Check]:
    """Returns a line for everything that the passes need of this mailbox, of its Salesforce user and of its view, and keeps the
    lines as a connection keeps those of its test. Raises MailboxRefused for somebody else's mailbox."""
    refuse_stranger(mailbox, by)
    wiring = wiring or Wiring()
    lines = [*_of_mailbox(mailbox, wiring), *_of_crm(mailbox, wiring)]
    lines = [replace(line, sentence=clean(line.sentence)[0]) for line in lines]  # systems' words may hold what no database can
    Mailbox.objects.filter(pk=mailbox.pk).update(checks=[asdict(line) for line in lines], tested_at=timezone.now())
    audit(by, "test mailbox", mailbox.address, failing=[line.name for line in lines if not line.is_ok])
    mailbox.refresh_from_db(fields=["checks", "tested_at"])
    return lines


def _of_mailbox(mailbox: Mailbox, wiring: Wiring) -> list[Check]:
    opened = _open(mailbox.connection, wiring)
    if isinstance(opened, Check):
        return [opened]
    try:
        box: ContactBox = opened.mailbox(mailbox.address)  # type: ignore[attr-defined]
        lines = box.check_mailbox()
        return [*lines, *run_checks([Try("Folder", "", lambda: _folder(box))])] if all(line.is_ok for line in lines) else lines
    except ConnectorError as error:
        return [_failed("Mailbox", error)]
    finally:
        opened.close()


def _folder(box: ContactBox) -> Check:
    found = len(box.folders(FOLDER))
    if found == 1:
        return Check("Folder", True, f"The folder “{FOLDER}” is there.")
    if not found:
        return Check("Folder", True, f"There is no folder “{FOLDER}” yet; the first run makes it.")
    return Check("Folder", True, f"There are {found} folders “{FOLDER}”; the oldest one is used.", is_warning=True)


def _of_crm(mailbox: Mailbox, wiring: Wiring) -> list[Check]:
    crm = crm_of_mailboxes()
    if crm is None:
        return [Check("Salesforce user", False, "Salesforce is not connected.", "Connect Salesforce under Connections.")]
    opened = _open(crm, wiring)
    if isinstance(opened, Check):
        return [opened]
    try:
        return [*run_checks([Try("Salesforce user", "", lambda: _user(mailbox, opened))]), *_views(mailbox, opened)]
    finally:
        opened.close()


def _user(mailbox: Mailbox, crm: Connector) -> Check:
    name = "Salesforce user"
    if not mailbox.crm_user_id:
        return Check(name, False, mailbox.match_says or f"Nobody is known to be {mailbox.address}.", ASK_ADMIN)
    user = users_by_id(crm, [mailbox.crm_user_id]).get(mailbox.crm_user_id)
    if user is None:
        return Check(name, False, f"Salesforce shows no user {mailbox.crm_user_id}.", ASK_ADMIN)
    called = str(user.fields.get(NAME) or mailbox.crm_user_id)
    if user.fields.get(IS_ACTIVE) is not True:
        return Check(name, False, f"{called} is inactive in Salesforce.", "Activate the user there, or choose another one here.")
    return Check(name, True, f"{called} is known and active.")


def _views(mailbox: Mailbox, crm: Connector) -> Iterable[Check]:
    for parent in SyncPass.objects.whole().filter(name__in=MAILBOX_PASSES).order_by("pk"):
        wanted = str(effective_of(parent, mailbox)["view"].value)
        yield from run_checks([Try("View", "", lambda wanted=wanted: _view(wanted, crm))])  # type: ignore[misc]


def _view(wanted: str, crm: Connector) -> Check:
    if wanted in (MINE, EVERYTHING):
        return Check("View", True, "All contacts that the user owns." if wanted == MINE else "All contacts.")
    terms = crm.view_terms(CONTACT, wanted)
    if terms.why_not:
        return Check("View", False, f"The view cannot be used: {terms.why_not}", "Choose another view in the mailbox's settings.")
    return Check("View", True, "The view can be used.")


def _open(connection: Connection, wiring: Wiring) -> Connector | Check:
    try:
        return wiring.open_connector(connection)
    except ConnectorError as error:
        return _failed(f"Open {connection}", error)


def _failed(name: str, error: ConnectorError) -> Check:
    passes = isinstance(error, ConnectionTrouble) and not isinstance(error, NeedsAttention)
    return Check(name, False, connection_sentence(error), passes=passes)
