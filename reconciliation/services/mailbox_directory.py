"""Joiners and leavers: people of the mail system's directory who become mailboxes, which Salesforce user each belongs to, and
who left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from connectors.contract import Connector, Record
from connectors.errors import ConnectorError
from connectors.mailboxes import MailboxUser
from reconciliation.core.counting import counted
from reconciliation.core.mailbox_people import IS_ACTIVE, NAME, match_user
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, Mailbox, MailboxGroup, SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.crm_users import crm_of_mailboxes, users_by_id, users_with
from reconciliation.services.mailbox_states import Done
from reconciliation.services.mailboxes import MailboxRefused, address_flaw, begin_again, refuse_other_systems

MOST_READ = 20_000
AT_ONCE = 500
NO_CRM = "Connect Salesforce first: each mailbox belongs to a user there."
State = Mailbox.State


@dataclass(frozen=True, slots=True)
class Person:
    """One person of the directory, and what is known of them here. `mailbox`: the mailbox that is there already. `says`: why no
    Salesforce user was found, "" where one was."""

    address: str
    name: str
    is_active: bool
    mailbox: Mailbox | None = None
    crm_user_id: str = ""
    crm_user_name: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True)
class DirectoryRead:
    """People of the directory in the order of their addresses. `is_cut`: there are more than were read."""

    people: tuple[Person, ...]
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class LookedAfter:
    """What the daily look came to."""

    matched: int = 0
    left: int = 0


def directory_read(connection: Connection, *, wiring: Wiring | None = None) -> DirectoryRead:
    """Returns the people of a mail system's directory with what is known of each. Writes nothing. Raises MailboxRefused, and
    ConnectorError where a system does not answer."""
    refuse_other_systems(connection)
    wiring = wiring or Wiring()
    users, is_cut = _directory(connection, wiring)
    rows = Mailbox.objects.filter(connection=connection).exclude(state=State.ENDED)
    boxes = {box.address.casefold(): box for box in rows.select_related("group")}
    found = _users_of([u.address for u in users], wiring)
    people = []
    for user in sorted(users, key=lambda u: u.address.casefold()):
        match = match_user(user.address, found.get(user.address.casefold(), ()))
        box = boxes.get(user.address.casefold())
        is_known = box is not None and bool(box.crm_user_id)
        people.append(
            Person(
                user.address,
                user.name,
                user.is_active,
                box,
                box.crm_user_id if box is not None and is_known else match.user_id,
                box.crm_user_name if box is not None and is_known else match.name,
                "" if is_known else match.says,
            )
        )
    return DirectoryRead(tuple(people), is_cut)


def strangers_among(connection: Connection, addresses: Iterable[str], *, wiring: Wiring | None = None) -> frozenset[str]:
    """Returns those of these addresses, in lower case, that the mail system's directory does not list: mistyped, or hidden there.
    None of them where it cannot be read, or as a whole: then nothing is known."""
    asked = {address.strip().casefold() for address in addresses}
    if connection.is_personal or not asked:
        return frozenset()
    try:
        users, is_cut = _directory(connection, wiring or Wiring())
    except ConnectorError:
        return frozenset()
    listed = {user.address.casefold() for user in users}
    return frozenset() if is_cut or len(listed) < 2 else frozenset(asked - listed)


def _directory(connection: Connection, wiring: Wiring) -> tuple[list[MailboxUser], bool]:
    connector = wiring.open_connector(connection)
    found: dict[str, MailboxUser] = {}
    try:
        for page in connector.users():  # type: ignore[attr-defined]  # of mail systems alone
            found |= {user.address.casefold(): user for user in page if user.address}
            if len(found) >= MOST_READ:
                return list(found.values())[:MOST_READ], True
    finally:
        connector.close()
    return list(found.values()), False


def _users_of(addresses: Sequence[str], wiring: Wiring) -> dict[str, list[Record]]:
    crm = crm_of_mailboxes()
    if crm is None or not addresses:
        return {}
    connector = wiring.open_connector(crm)
    try:
        return users_with(connector, addresses)
    finally:
        connector.close()


def mailboxes_add(
    connection: Connection,
    addresses: Iterable[str],
    by: AbstractBaseUser | None,
    group: MailboxGroup | None = None,
    *,
    crm_emails: dict[str, str] | None = None,
    wiring: Wiring | None = None,
) -> Done:
    """Makes mailboxes of these addresses, each with the Salesforce user of the same address, or of the one in `crm_emails`
    (mailbox address in lower case -> user's address). What is there already stays as it is and is named; what is no address is
    refused, and stops no other. Salesforce that does not answer keeps nobody from being added: the daily look matches later.
    Raises MailboxRefused where the connection leads to no mailboxes."""
    refuse_other_systems(connection)
    wanted, refused = _wanted(connection, addresses)
    now = timezone.now()
    made: list[Mailbox] = []
    for start in range(0, len(wanted), AT_ONCE):
        some = wanted[start : start + AT_ONCE]
        with transaction.atomic():
            Connection.objects.select_for_update().get(pk=connection.pk)  # two who add one address at once make one
            there = {box.address.casefold(): box for box in Mailbox.objects.filter(connection=connection)}
            again = [box for a in some if (box := there.get(a.casefold())) is not None and box.is_ended]
            for box in list(again):
                try:
                    begin_again(box, group)
                except MailboxRefused as refusal:
                    again.remove(box)
                    refused.append(str(refusal))
            rows = [Mailbox(connection=connection, address=a, group=group, state_at=now) for a in some if a.casefold() not in there]
            made += [*again, *Mailbox.objects.bulk_create(rows)]
    if made:
        detail = {"connection": str(connection), "group": str(group or "")}
        audit(by, "mailboxes.added", made[0].address if len(made) == 1 else counted(len(made), "mailbox", "mailboxes"), **detail)
        _match(made, wiring or Wiring(), crm_emails or {})
    return Done(len(made), refused)


def _wanted(connection: Connection, addresses: Iterable[str]) -> tuple[list[str], list[str]]:
    """Returns the addresses that become mailboxes, and a sentence for each that does not."""
    rows = Mailbox.objects.filter(connection=connection).exclude(state=State.ENDED)
    there = {a.casefold() for a in rows.values_list("address", flat=True)}
    wanted: dict[str, str] = {}
    refused = []
    for address in (a.strip() for a in addresses):
        if why := address_flaw(address):
            refused.append(why)
        elif address.casefold() in there:
            refused.append(f"{address} is a mailbox here already.")
        else:
            wanted.setdefault(address.casefold(), address)
    return list(wanted.values()), refused


def _match(boxes: Sequence[Mailbox], wiring: Wiring, crm_emails: dict[str, str]) -> int:
    """Looks for the Salesforce users of mailboxes that have none. What staff chose stays. Returns how many were found."""
    asked = {box.pk: crm_emails.get(box.address.casefold()) or box.address for box in boxes}
    try:
        found = _users_of(list(asked.values()), wiring)
    except ConnectorError as error:  # the mailboxes are there, and are looked at again
        says = f"Salesforce could not be asked: {error.sentence}. It is asked again every day."
        Mailbox.objects.filter(pk__in=[b.pk for b in boxes], crm_user_id="").update(match_says=says, matched_at=timezone.now())
        return 0
    matched = []
    for start in range(0, len(boxes), AT_ONCE):
        with transaction.atomic():
            for box in boxes[start : start + AT_ONCE]:
                address = asked[box.pk]
                users = found.get(address.strip().casefold(), ())
                if _note_match(box, address, users, is_chosen=address != box.address):
                    matched.append(box.pk)
    SyncPass.objects.filter(mailbox__in=matched).update(next_due_at=timezone.now())
    return len(matched)


def _note_match(box: Mailbox, address: str, users: Sequence[Record], *, is_chosen: bool = False) -> bool:
    """Notes whose the mailbox is. `is_chosen`: staff named the user by another address, and no match by e-mail changes that."""
    match = match_user(address, users)
    rows = Mailbox.objects.filter(pk=box.pk, crm_user_id="", crm_user_chosen=False)
    values = {"crm_user_id": match.user_id, "crm_user_name": match.name, "match_says": match.says, "matched_at": timezone.now()}
    values["crm_user_chosen"] = is_chosen and bool(match.user_id)
    return bool(rows.update(**values)) and bool(match.user_id)


def mailbox_choose_user(mailbox: Mailbox, crm_user_id: str, by: AbstractBaseUser | None, *, wiring: Wiring | None = None) -> None:
    """Says which Salesforce user the mailbox belongs to; no match by address changes it from then on. "" takes the choice back:
    the user is looked for by address again. Raises MailboxRefused, ConnectorError."""
    wiring, before, id_ = wiring or Wiring(), mailbox.crm_user_id, crm_user_id.strip()
    if id_:
        user = _user(id_, wiring)
        values = {"crm_user_id": user.ref.id, "crm_user_name": str(user.fields.get(NAME) or "")[:255], "crm_user_chosen": True}
    else:
        values = {"crm_user_id": "", "crm_user_name": "", "crm_user_chosen": False}
    with transaction.atomic():
        Mailbox.objects.filter(pk=mailbox.pk).update(**values, match_says="")
        SyncPass.objects.filter(mailbox=mailbox).update(next_due_at=timezone.now())
        audit(by, "choose mailbox's user", mailbox.address, crm_user=[before, values["crm_user_id"]])
    if not id_:
        _match([mailbox], wiring, {})
    mailbox.refresh_from_db()


def _user(id_: str, wiring: Wiring) -> Record:
    """Returns the active Salesforce user of this id, or with this address. Raises MailboxRefused, ConnectorError."""
    crm = crm_of_mailboxes()
    if crm is None:
        raise MailboxRefused(NO_CRM)
    connector = wiring.open_connector(crm)
    try:
        if "@" in id_:
            match = match_user(id_, users_with(connector, [id_]).get(id_.casefold(), ()))
            if match.says:
                raise MailboxRefused(f"{match.says} Nothing was changed.")
            id_ = match.user_id
        user = users_by_id(connector, [id_]).get(id_)
    finally:
        connector.close()
    if user is None:
        raise MailboxRefused(f"Salesforce shows no user “{id_[:40]}”. Nothing was changed.")
    if user.fields.get(IS_ACTIVE) is not True:
        name = str(user.fields.get(NAME) or id_)[:80]
        raise MailboxRefused(f"The Salesforce user {name} is inactive; activate the user there, or choose another. Nothing was changed.")
    return user


def mailboxes_look_after(*, wiring: Wiring | None = None) -> LookedAfter:
    """Looks again for users of mailboxes that have none, and whether users of the others are active still: daily. Raises
    ConnectorError."""
    crm, wiring = crm_of_mailboxes(), wiring or Wiring()
    running = Mailbox.objects.filter(state__in=(*Mailbox.RUNNING, State.PAUSED, State.SUSPENDED))
    open_ = list(running.filter(crm_user_id="", crm_user_chosen=False).order_by("pk"))
    if crm is None:
        return LookedAfter()
    matched = _match(open_, wiring, {}) if open_ else 0
    ids = list(running.exclude(crm_user_id="").values_list("crm_user_id", flat=True).distinct())
    connector: Connector = wiring.open_connector(crm)
    try:
        users = users_by_id(connector, ids)
    finally:
        connector.close()
    # Only what Salesforce says outright: a user it does not show us may be hidden. Nor is a mail account that may not sign in a
    # leaver: shared mailboxes are like that. A mailbox that is gone is noticed by its next run (`engine/mailbox_health`).
    gone = [id_ for id_, user in users.items() if user.fields.get(IS_ACTIVE) is False]
    left = sum(mailbox_left(box, "Its Salesforce user is inactive.") for box in running.filter(crm_user_id__in=gone))
    return LookedAfter(matched, left)


def mailbox_left(mailbox: Mailbox, reason: str) -> bool:
    """Notes that the mailbox's person left: no pass goes over it any more, and nothing is deleted on either side. Returns whether
    that is new."""
    rows = Mailbox.objects.filter(pk=mailbox.pk).exclude(state__in=Mailbox.GONE)
    says = f"{reason} Nothing was deleted. If the person is back, press Resume."
    if not rows.update(state=State.LEFT, state_reason=says, state_by="", state_at=timezone.now()):
        return False
    audit(None, "mailbox left", mailbox.address, reason=reason)
    return True
