"""What a person decides about addresses that Salesforce does not know: make a lead or a contact of one, say which record it is,
ignore it, or block it. Each decision can be taken back; a record that was made is taken back under *Made people*."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from connectors.contract import Record
from reconciliation.core.address_rules import SiteAddresses
from reconciliation.core.autoresolve import Mode
from reconciliation.core.linking_facts import Item, ItemKind, Participant, Trigger
from reconciliation.engine.linker import ItemToLink, Linked, Linker
from reconciliation.engine.linking_terms import LinkTerms, terms_of
from reconciliation.engine.staff import at_work
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Mailbox, SyncPass, UnresolvedPerson
from reconciliation.services.audit import audit
from reconciliation.services.blocklists import entries_add, entries_of, entries_remove
from reconciliation.services.crm_users import crm_of_mailboxes
from reconciliation.services.duplicates import DecisionRefused

State = UnresolvedPerson.State
MOST_AT_ONCE = 200
MOST_FOUND = 20
KINDS = {"lead": Mode.LEADS, "contact": Mode.CONTACTS, "person_account": Mode.PERSON_ACCOUNTS}
KIND_WORDS = {"lead": "a lead", "contact": "a contact", "person_account": "a person account"}
PEOPLE = {"003": "Contact", "00Q": "Lead"}  # what ids begin with -> the object
COLUMNS = ("Name", "Email", "Title")
TAKE_BACK = (State.DISMISSED, State.BLOCKED, State.LINKED)
NOBODY_WAITS = "None of them waits for a decision any more. Nothing was done."


class ChosenAddresses(SiteAddresses):
    """Address rules for somebody who chose the address: a shared mailbox may be made, too."""

    def is_impersonal(self, key: str) -> bool:
        return False


def unresolved_rows(mailbox: Mailbox | None = None) -> QuerySet[UnresolvedPerson]:
    """Returns the addresses of one mailbox, or of all, the last seen first."""
    rows = UnresolvedPerson.objects.select_related("mailbox").order_by("-last_seen_at", "-pk")
    return rows.filter(mailbox=mailbox) if mailbox is not None else rows


def mark_companies(rows: Iterable[UnresolvedPerson]) -> None:
    """Gives each row `company`: what a company of its domain would be called, "" where the domain is nobody's own."""
    rules = SiteAddresses()
    for row in rows:
        domain = rules.domain(row.address)
        row.company = rules.account_name(domain) if domain else ""  # type: ignore[attr-defined]


# --- making ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one address that somebody ordered to be made. `reason` says why nothing was, in a sentence."""

    address: str
    record_id: str = ""
    is_new: bool = False
    reason: str = ""


def people_make(rows: Sequence[UnresolvedPerson], kind: str, by: AbstractBaseUser, wiring: Wiring | None = None) -> list[Made]:
    """Makes a lead, a contact or a person account of each address; who is known by now is taken as found. Raises DecisionRefused,
    Busy, WritesStopped, ConnectorError; what was made by then stands in its row."""
    if kind not in KINDS:
        raise DecisionRefused("Choose what they shall become. Nothing was done.")
    if len(rows) > MOST_AT_ONCE:
        raise DecisionRefused(f"At most {MOST_AT_ONCE} at once. Nothing was done.")
    groups = _by_mailbox(rows)
    if not groups:
        raise DecisionRefused(NOBODY_WAITS)
    done: list[Made] = []
    for mailbox, own in groups.items():
        done += _make_of(mailbox, own, kind, by, wiring)
    return done


def _by_mailbox(rows: Sequence[UnresolvedPerson]) -> dict[Mailbox, list[UnresolvedPerson]]:
    groups: dict[Mailbox, list[UnresolvedPerson]] = {}
    for row in rows:
        if row.state in (State.OPEN, State.DISMISSED):
            groups.setdefault(row.mailbox, []).append(row)
    return groups


def _make_of(mailbox: Mailbox, rows: Sequence[UnresolvedPerson], kind: str, by: AbstractBaseUser, wiring: Wiring | None) -> list[Made]:
    sync_pass = _pass_of(mailbox)
    what = f"Make {KIND_WORDS[kind]} of {rows[0].address}{f' and {len(rows) - 1} more' if len(rows) > 1 else ''}."
    with at_work(sync_pass, by=by.get_username(), what=what, only_crm=True, wiring=wiring) as context:
        linker = Linker(context, mailbox, terms=_ordered(terms_of(sync_pass, mailbox), kind))
        linked = linker.make_by_person([_asked(row) for row in rows])
        with transaction.atomic():
            done = [_written_down(row, linked[str(row.pk)], by) for row in rows]
    audit(by, "make unresolved people", mailbox.address, kind=kind, made=sum(made.is_new for made in done), asked=len(rows))
    return done


def _pass_of(mailbox: Mailbox) -> SyncPass:
    """Returns a pass of the mailbox, under whose lease it is written. Raises DecisionRefused where the mailbox has none."""
    rows = SyncPass.objects.filter(mailbox=mailbox).select_related("crm", "peer", "mapping", "parent", "mailbox__group")
    row = rows.order_by("pk").first()
    if row is None or mailbox.is_ended:
        raise DecisionRefused(f"The mailbox {mailbox.address} is not synced any more. Nothing was done.")
    return row


def _ordered(terms: LinkTerms, kind: str) -> LinkTerms:
    resolve = replace(terms.resolve, mode=KINDS[kind], smart=False, all_recipients=True, triggers=frozenset(Trigger))
    return replace(terms, resolve=resolve, rules=ChosenAddresses(terms.rules.domains))


def _asked(row: UnresolvedPerson) -> ItemToLink:
    item = Item(str(row.pk), ItemKind.EVENT, (Participant(row.address, row.name),))
    shown = str(row.items[-1].get("shown") or "") if row.items else ""
    return ItemToLink(item, shown=shown, certain={row.address: row.said} if row.said else {})


def _written_down(row: UnresolvedPerson, linked: Linked, by: AbstractBaseUser) -> Made:
    new = linked.made[0].id if linked.made else ""
    record = new or linked.links.who
    if not record:
        reason = linked.waits or next((f"{reason[:1].upper()}{reason[1:]}." for reason in linked.reasons.values()), "")
        why = reason or next((f"{out.reason[:1].upper()}{out.reason[1:]}." for out in linked.links.left_out), "Nobody was made of it.")
        UnresolvedPerson.objects.filter(pk=row.pk).update(reason=why)
        return Made(row.address, reason=why)
    state = State.MADE if new else State.FOUND
    _decide([row], state, by, crm_id=record, crm_type=PEOPLE.get(record[:3], ""), reason="")
    return Made(row.address, record, bool(new))


# --- which record it is ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """One person of Salesforce as a page shows it."""

    object_type: str
    id: str
    name: str
    email: str
    title: str


def people_found(text: str, wiring: Wiring | None = None) -> list[Found]:
    """Returns contacts and leads with this name, e-mail address or id, at most MOST_FOUND. Raises ConnectorError."""
    crm, text = crm_of_mailboxes(), text.strip()[:200]
    if crm is None or not text:
        return []
    connector = (wiring or Wiring()).open_connector(crm)
    is_id = text.isascii() and text.isalnum() and len(text) in (15, 18) and text[:3] in PEOPLE
    try:
        found: dict[str, Found] = {}
        for object_type in PEOPLE.values():
            if is_id and PEOPLE[text[:3]] != object_type:
                continue
            field = "Id" if is_id else "Email" if "@" in text else "Name"
            rows = connector.find(object_type, field, [text], COLUMNS)
            found |= {r.ref.id: _found(r) for r in rows if not r.is_deleted and r.fields.get("IsConverted") is not True}
    finally:
        connector.close()
    return sorted(found.values(), key=lambda f: (f.object_type, f.name.casefold(), f.id))[:MOST_FOUND]


def _found(record: Record) -> Found:
    name, email, title = (str(record.fields.get(column) or "") for column in COLUMNS)
    return Found(record.ref.object_type, record.ref.id, name, email, title)


def person_link(row: UnresolvedPerson, id_: str, by: AbstractBaseUser, *, is_for_all: bool = False, wiring: Wiring | None = None) -> Found:
    """Says which record an address is: it is linked so from now on, for this mailbox or for all. Salesforce is only asked whether the
    record is there. Raises DecisionRefused and ConnectorError, storing nothing."""
    found = people_found(id_, wiring) if id_.strip()[:3] in PEOPLE else []
    if len(found) != 1:
        raise DecisionRefused("Choose a contact or a lead that is in Salesforce. Nothing was done.")
    if row.state not in (State.OPEN, State.DISMISSED, State.LINKED):
        raise DecisionRefused(f"{row.address} was decided meanwhile: {row.get_state_display()}. Nothing was done.")
    (it,) = found
    _decide([row], State.LINKED, by, crm_type=it.object_type, crm_id=it.id, is_for_all=is_for_all, reason="")
    audit(by, "link unresolved person", row.address, record=it.id, is_for_all=is_for_all)
    return it


# --- ignoring and blocking ------------------------------------------------------------------------------------------------


def people_dismiss(rows: Iterable[UnresolvedPerson], by: AbstractBaseUser) -> int:
    """Ignores addresses: nobody is made of them in their mailboxes, and they leave the list. Returns how many were open."""
    count = _decide([row for row in rows if row.state == State.OPEN], State.DISMISSED, by, only=(State.OPEN,))
    if count:
        audit(by, "ignore unresolved people", "unresolved people", count=count)
    return count


def people_block(rows: Sequence[UnresolvedPerson], by: AbstractBaseUser, *, is_for_all: bool, domains: bool = False) -> int:
    """Puts addresses, or their domains, on the blocklist of their mailboxes or of the organisation. Returns how many rows that
    meant. Raises DecisionRefused."""
    open_ = [row for row in rows if row.state in (State.OPEN, State.DISMISSED)]
    if not open_:
        raise DecisionRefused(NOBODY_WAITS)
    groups: dict[Mailbox | None, list[UnresolvedPerson]] = {None: open_} if is_for_all else {**_by_mailbox(open_)}
    with transaction.atomic():
        for mailbox, own in groups.items():
            entries = [row.address.rpartition("@")[2] if domains else row.address for row in own]
            entries_add("\n".join(entries), by, mailbox, note="From unresolved people")
        return _decide(open_, State.BLOCKED, by, only=(State.OPEN, State.DISMISSED), is_for_all=is_for_all)


def people_take_back(rows: Iterable[UnresolvedPerson], by: AbstractBaseUser, *, of_all: Collection[str] = TAKE_BACK) -> int:
    """Takes back what was ignored, blocked or linked: the addresses wait again. Of what was blocked the entry of the very address is
    removed; a domain stays on its list. What holds for every mailbox is taken back in the states `of_all` only: not everybody may.
    Returns how many rows that were."""
    with transaction.atomic():
        found = UnresolvedPerson.objects.filter(pk__in=[row.pk for row in rows], state__in=TAKE_BACK).select_related("mailbox")
        back = [row for row in found.select_for_update(of=("self",)) if not row.is_for_all or row.state in of_all]
        for row in back:
            if row.state == State.BLOCKED:
                mailbox = None if row.is_for_all else row.mailbox
                entries_remove(entries_of(mailbox).filter(entry=row.address, removed_at=None).values_list("pk", flat=True), by, mailbox)
        count = _decide(back, State.OPEN, by, only=TAKE_BACK, crm_type="", crm_id="", is_for_all=False)
        if count:
            audit(by, "take back a decision about unresolved people", "unresolved people", count=count)
    return count


def _decide(rows: Sequence[UnresolvedPerson], state: str, by: AbstractBaseUser, *, only: Sequence[str] = (), **values: object) -> int:
    """Writes a decision down; returns how many rows still were as they are only changed from."""
    found = UnresolvedPerson.objects.filter(pk__in=[row.pk for row in rows])
    found = found.filter(state__in=only) if only else found
    return found.update(state=state, decided_by_name=by.get_username(), decided_at=timezone.now(), **values)
