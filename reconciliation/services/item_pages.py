"""What pages show of calendar items and tasks that mailboxes share: both sides as they are now, what the mailbox's user finds in their
own calendar, and records to choose links from. Reads only; what is withheld of a private item is shown to nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from connectors.calendars import EVENT, Guest, Window, guests_of
from connectors.calendars import WHEN as WHEN_FIELD
from connectors.contract import Connector, Record
from connectors.errors import ConnectorError
from connectors.when import read_when
from reconciliation.core.values import is_same, isolated
from reconciliation.defaults.events import EVENTS_PASS
from reconciliation.engine import pair_reads
from reconciliation.engine.executor import Side
from reconciliation.engine.wiring import OPENS, Wiring
from reconciliation.engine.works import work_of
from reconciliation.field_titles import crm_title, mail_title
from reconciliation.models import Binding, Connection, FieldRule, Mailbox, MailboxItem, Operation, RunEvent, SyncPass
from reconciliation.passes import items as rules
from reconciliation.passes.events import DETAILS
from reconciliation.services.crm_users import crm_of_mailboxes
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.mailbox_states import refuse_stranger
from reconciliation.services.unresolved import Found, people_found
from reconciliation.store import decode

WHY_TITLES = {
    rules.BY_CATEGORY: "Category",
    rules.BY_ITSELF: "By itself",
    rules.FROM_CRM: "From Salesforce",
    rules.BY_PERSON: "Share now",
}
WHY_WORDS = {
    rules.BY_CATEGORY: "Its user gave it the category “Salesforce”.",
    rules.BY_ITSELF: "New ones are shared by themselves, by the mailbox's settings.",
    rules.FROM_CRM: "It was made in Salesforce, for the mailbox's user.",
    rules.BY_PERSON: "A person shared it from its page.",
}
# A record as a step names it; before it the same step may speak of others, by names without an id.
_OF_TYPE = r"\b[Tt]he (?:contact|lead|account|opportunity) "
_NAMED = re.compile(rf"{_OF_TYPE}((?:(?!{_OF_TYPE})[^()]){{1,200}}?) \(([0-9A-Za-z]{{15,18}})\)")
MOST_HISTORY, MOST_EVENTS = 30, 20
MOST_FOUND = 100  # events of one's own calendar that a search looks at
MOST_DAYS = 14
FOUND_KINDS = {"Account": ("Name", "Website"), "Opportunity": ("Name", "StageName")}
IDS = {"003": "Contact", "00Q": "Lead", "001": "Account", "006": "Opportunity"}  # what ids begin with
WHO_IDS, WHAT_IDS = ("003", "00Q"), ("001", "006")


def items_listed(mailbox: Mailbox | None = None) -> QuerySet[MailboxItem]:
    """Returns what mailboxes share, or shared: of one the latest that takes place first, of all the latest known."""
    rows = MailboxItem.objects.select_related("sync_pass__mailbox", "sync_pass__parent", "sync_pass__crm", "sync_pass__peer")
    if mailbox is None:
        return rows.order_by("-pk")
    return rows.filter(sync_pass__mailbox=mailbox).order_by("-starts_at", "-pk")


@dataclass(frozen=True, slots=True)
class Tile:
    """One number over all items, with the filter it leads to."""

    title: str
    count: str
    look: str
    query: str


def item_tiles(rows: QuerySet[MailboxItem], kept: str = "") -> list[Tile]:
    """Returns the numbers over these items, in one query; `kept` is the part of a filter that chose them, as an address has it."""
    state = MailboxItem.State
    counts = rows.order_by().aggregate(
        linked=Count("pk", filter=Q(state=state.LINKED)),
        held=Count("pk", filter=Q(is_held=True)),
        private=Count("pk", filter=Q(is_private=True, state=state.LINKED)),
        colleague=Count("pk", filter=Q(state=state.COLLEAGUE)),
        ended=Count("pk", filter=Q(state=state.ENDED)),
    )
    n = {name: f"{count:,}" for name, count in counts.items()}
    tiles = [
        Tile("In Salesforce", n["linked"], "", "state=linked"),
        Tile("Wait for “Send update”", n["held"], "warn" if counts["held"] else "calm", "held=yes"),
        Tile("Private", n["private"], "calm", "private=yes&state=linked"),
        Tile("Carried by a colleague", n["colleague"], "calm", "state=colleague"),
        Tile("Not shared any more", n["ended"], "calm", "state=ended"),
    ]
    return [replace(tile, query=f"{kept}&{tile.query}" if kept else tile.query) for tile in tiles]


# --- one item ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ItemNow:
    """Both sides as they are now. `trouble` says why one of them could not be read. Of a private item `peer` is what Salesforce may see
    of it, and `guests` is empty."""

    crm: Record | None = None
    peer: Record | None = None
    guests: tuple[Guest, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class FieldShown:
    """One mapped field: what both sides agreed on last, what they hold now where that was looked at, and what is particular."""

    title: str
    peer_title: str
    crm_base: Any
    peer_base: Any
    crm_now: Any = None
    peer_now: Any = None
    is_read: bool = False
    crm_moved: bool = False
    peer_moved: bool = False
    is_waiting: bool = False
    is_withheld: bool = False


def item_look(row: MailboxItem, wiring: Wiring | None = None) -> ItemNow:
    """Reads both sides of an item as they are now; what fails is told in `trouble`. Writes nothing."""
    now, wiring, opened = ItemNow(), wiring or Wiring(), list[Connector]()
    sync_pass = row.sync_pass
    try:
        opened.append(crm := wiring.open_connector(sync_pass.crm))
        opened.append(peer := wiring.open_peer(sync_pass))
        terms = work_of(sync_pass).terms(sync_pass, Side(sync_pass.crm, crm), Side(sync_pass.peer, peer), wiring)
        if row.crm_id:
            found = crm.read(row.crm_type, [row.crm_id], pair_reads.columns(terms, row.crm_type))
            now.crm = next((r for r in found if not r.is_deleted), None)
        items = peer.read(row.object_type, [row.item_id], pair_reads.columns(terms, row.object_type))
        if items:
            own = rules.rules_of(terms)
            now.peer = own.shown(items[0], terms.own)
            now.guests = guests_of(now.peer)
    except ConnectorError as error:
        now.trouble = error.sentence
    finally:
        for connector in opened:
            connector.close()
    return now


def fields_of(row: MailboxItem, binding: Binding | None, now: ItemNow | None) -> list[FieldShown]:
    """Returns a line for each field that is mapped, in the order of the mapping."""
    types = list(row.sync_pass.whole.record_types.select_related("mapping").order_by("order", "pk"))
    type_ = next((t for t in types if t.crm_object == row.crm_type), types[0] if types else None)
    if type_ is None:
        return []
    mapped = type_.mapping.rules.filter(is_enabled=True).order_by("pk")
    return [_field(row, rule, type_.crm_object, binding, now) for rule in mapped]


def _field(row: MailboxItem, rule: FieldRule, crm_object: str, binding: Binding | None, now: ItemNow | None) -> FieldShown:
    left, right = (_base(binding, side).get(name) for side, name in (("crm", rule.crm_field), ("peer", rule.peer_field)))
    crm = now.crm.fields.get(rule.crm_field) if now is not None and now.crm is not None else None
    peer = now.peer.fields.get(rule.peer_field) if now is not None and now.peer is not None else None
    has_base = binding is not None and not binding.is_tombstone
    return FieldShown(
        crm_title(row.sync_pass.crm, crm_object, rule.crm_field),
        mail_title(rule.peer_field, row.object_type),
        left,
        right,
        crm,
        peer,
        is_read=now is not None,
        crm_moved=has_base and now is not None and now.crm is not None and not is_same(crm, decode(left)),
        peer_moved=has_base and now is not None and now.peer is not None and not is_same(peer, decode(right)),
        is_waiting=rule.peer_field in row.held,
        is_withheld=row.is_private and rule.peer_field in DETAILS,
    )


def _base(binding: Binding | None, side: str) -> Mapping[str, Any]:
    return getattr(binding, f"{side}_base") or {} if binding is not None else {}


def binding_of(row: MailboxItem) -> Binding | None:
    """Returns the link of an item, one that holds before one that ended."""
    rows = Binding.objects.filter(sync_pass=row.sync_pass, peer_type=row.object_type, peer_id=row.item_id)
    return rows.order_by("is_tombstone", "-pk").first()


def refs_of(row: MailboxItem) -> list[str]:
    """Returns how the journal and the runs name both records."""
    refs = [f"{row.sync_pass.peer.system}:{row.object_type}:{row.item_id}"]
    return [*refs, f"{row.sync_pass.crm.system}:{row.crm_type}:{row.crm_id}"] if row.crm_id else refs


def writes_of(row: MailboxItem) -> list[Operation]:
    """Returns what was written of both records, the latest first."""
    rows = Operation.objects.filter(source_ref__in=[ref[:320] for ref in refs_of(row)]).exclude(state=Operation.State.PLANNED)
    return list(rows.select_related("connection").defer("exchange", "context").order_by("-pk")[:MOST_HISTORY])


def events_of(row: MailboxItem) -> list[RunEvent]:
    """Returns what runs said of both records, the latest first."""
    rows = RunEvent.objects.filter(crm_ref__in=[ref[:320] for ref in refs_of(row)]).select_related("run")
    return list(rows.order_by("-pk")[:MOST_EVENTS])


# --- whom it is linked to ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """One record that an item is linked to: its place there, what it is, and which it is."""

    place: str
    object_type: str
    id: str
    name: str = ""
    address: str = ""
    url: str = ""


def links_shown(row: MailboxItem) -> list[Link]:
    """Returns everybody and everything that the record of an item is linked to, by name where one is known here."""
    return links_named(row.links or {}, row.sync_pass.crm, row.sync_pass.mailbox_id)


def links_named(
    said: Mapping[str, Any], crm: Connection, mailbox_id: int | None, *, person: str = "Name", related: str = "Related To"
) -> list[Link]:
    """Returns a line for each record of the CRM that what the linker kept of an item names, by name where one is known here; `person`
    and `related` are what the places of the main person and of what it is about are called."""
    places = [(person, said.get("who"))] + [("Further person", other.get("id")) for other in said.get("others") or ()]
    places.append((related, said.get("what")))
    wanted = [(place, str(id_)) for place, id_ in places if id_]
    names = {**_said_names(said, [id_ for _, id_ in wanted]), **_names([id_ for _, id_ in wanted], crm, mailbox_id)}
    addresses = _addresses(said)
    template = crm.page_address_template
    return [
        Link(place, type_ := IDS.get(id_[:3], ""), id_, names.get(id_, ""), addresses.get(id_, ""), _url(template, type_, id_))
        for place, id_ in wanted
    ]


def _names(ids: Sequence[str], crm: Connection, mailbox_id: int | None) -> dict[str, str]:
    """Returns what records of the CRM are called, as far as our links name them."""
    if not ids:
        return {}
    passes = SyncPass.objects.filter(Q(mailbox=mailbox_id) | Q(parent=None), crm=crm).values("pk")
    rows = Binding.objects.filter(sync_pass__in=passes, crm_type__in=IDS.values(), crm_id__in=ids).exclude(name="")
    return dict(rows.values_list("crm_id", "name"))


def _said_names(said: Mapping[str, Any], ids: Sequence[str]) -> dict[str, str]:
    """Returns what records were called when they were linked, as the steps tell it: "the contact Bo Lind (003…)"."""
    found = dict[str, str]()
    for step in map(str, said.get("steps") or ()):
        for name, id_ in _NAMED.findall(step):
            if id_ in ids:
                found.setdefault(id_, name)
    return found


def _addresses(said: Mapping[str, Any]) -> dict[str, str]:
    named = [*(said.get("found") or ()), *(said.get("others") or ())]
    return {str(one.get("id")): str(one.get("address") or "") for one in named}


def _url(template: str, object_type: str, id_: str) -> str:
    return template.replace("{object}", object_type).replace("{id}", id_) if object_type else ""


def record_url(row: MailboxItem) -> str:
    """Returns the address of the record's page in the CRM, "" where there is none."""
    return _url(row.sync_pass.crm.page_address_template, row.crm_type, row.crm_id) if row.crm_id else ""


def item_url(row: MailboxItem) -> str:
    """Returns the address of the item's page in its mail system, "" where none is set."""
    return _url(row.sync_pass.peer.page_address_template, row.object_type, row.item_id)


def seen_by(row: MailboxItem) -> str:
    """Returns to whom an item is visible in Salesforce, in sentences."""
    if row.state == MailboxItem.State.COLLEAGUE:
        return "It is in Salesforce once, from a colleague's mailbox: whoever may see that record sees it."
    if row.state != MailboxItem.State.LINKED:
        return "Nobody: it is not in Salesforce."
    mailbox = row.sync_pass.mailbox
    owner = isolated(mailbox.crm_user) if mailbox is not None and mailbox.crm_user else "its owner"
    people = f"{owner}, who owns it there, and those above in the role hierarchy"
    if row.links.get("who") or row.links.get("what"):
        people = f"{people}; whoever may open the records that it is linked to, as Salesforce's sharing of activities says"
    of_calendar = ", and whoever may look at that calendar in Salesforce" if row.object_type == EVENT else ""
    withheld = " Of its details they see none: only its time." if row.is_private else ""
    return f"{people}{of_calendar}.{withheld}"


# --- records to choose links from -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Records:
    """What a search in the CRM found: people, and what an item can be related to."""

    people: list[Found] = field(default_factory=list)
    others: list[Found] = field(default_factory=list)
    trouble: str = ""


def records_found(text: str, *, user_id: str | None = None, wiring: Wiring | None = None) -> Records:
    """Returns people, accounts and opportunities of this name, e-mail address or id, a few of each; trouble is told. With `user_id`
    only what that user of the CRM may read there: a mailbox's user finds here no more than they would find there."""
    text, crm = text.strip()[:200], crm_of_mailboxes()
    if len(text) < 2 or crm is None:
        return Records()
    wiring = wiring or Wiring()
    try:
        people = people_found(text, wiring)
        connector: Any = wiring.open_connector(crm)
        try:
            others = [f for object_type in FOUND_KINDS for f in _found(connector, object_type, text)]
            if user_id is not None:
                people, others = (_readable(connector, user_id, found) for found in (people, others))
        finally:
            connector.close()
    except ConnectorError as error:
        return Records(trouble=f"{error.sentence}. {error.remedy}")
    return Records(people, others)


def _readable(connector: Any, user_id: str, found: list[Found]) -> list[Found]:
    access = connector.may_change(user_id, [f.id for f in found]) if found and user_id else {}
    return [f for f in found if f.id in access and access[f.id].read]


def _found(connector: Any, object_type: str, text: str) -> list[Found]:
    name, more = FOUND_KINDS[object_type]
    is_id = text.isascii() and text.isalnum() and len(text) in (15, 18) and text[:3] in IDS
    if is_id and IDS[text[:3]] != object_type:
        return []
    rows: list[Record] = connector.find(object_type, "Id" if is_id else name, [text], [name, more])
    if object_type == "Account" and not is_id and len(text) > 2:
        rows += connector.accounts_containing([text], most=10).get(text, [])
    known = {r.ref.id: r for r in rows if not r.is_deleted}
    return [Found(object_type, id_, str(r.fields.get(name) or ""), "", str(r.fields.get(more) or "")) for id_, r in known.items()][:20]


def refuse_unreadable(mailbox: Mailbox, ids: Sequence[str], wiring: Wiring | None = None) -> None:
    """Raises DecisionRefused where a mailbox's user may not read one of these records in the CRM; ConnectorError."""
    crm = crm_of_mailboxes()
    if not ids or crm is None:
        return
    connector: Any = (wiring or Wiring()).open_connector(crm)
    try:
        access = connector.may_change(mailbox.crm_user_id, list(ids)) if mailbox.crm_user_id else {}
    finally:
        connector.close()
    if any(id_ not in access or not access[id_].read for id_ in ids):
        raise DecisionRefused("Salesforce does not show you that record. Nothing was done.")


def chosen_id(text: str, begins: Sequence[str]) -> str:
    """Returns the id of a record that a form chose. Raises DecisionRefused for what is none."""
    if not (text.isascii() and text.isalnum() and len(text) in (15, 18) and text[:3] in begins):
        raise DecisionRefused("Choose one of the records that were found. Nothing was done.")
    return text


# --- one's own calendar -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """An event of one's own calendar that a search found, and what is known of it here."""

    id: str
    name: str
    starts_at: datetime | None
    is_all_day: bool
    guests: int
    row: MailboxItem | None = None

    @property
    def is_shared(self) -> bool:
        return self.row is not None and self.row.state == MailboxItem.State.LINKED


def events_found(
    mailbox: Mailbox, by: AbstractBaseUser, text: str, first: date, last: date, wiring: Wiring | None = None
) -> list[FoundEvent]:
    """Returns the events of a mailbox's calendar in these days whose subject holds every word of the text, the earliest first. Raises
    MailboxRefused for a stranger, DecisionRefused, ConnectorError."""
    refuse_stranger(mailbox, by)
    if last < first or (last - first).days >= MOST_DAYS:
        raise DecisionRefused(f"Look through at most {MOST_DAYS} days, the first before the last.")
    box = OPENS[EVENTS_PASS]((wiring or Wiring()).open_connector(mailbox.connection), mailbox.address)
    try:
        found = box.find_events(_window(first, last), most=MOST_FOUND)
    finally:
        box.close()
    words = text.casefold().split()
    rows = _rows_of(mailbox, found)
    named = [_event(record, rows.get(record.ref.id)) for record in found]
    wanted = [it for it in named if all(word in it.name.casefold() for word in words)]
    return sorted(wanted, key=lambda it: (it.starts_at is None, it.starts_at, it.id))


def _window(first: date, last: date) -> Window:
    zone = timezone.get_current_timezone()
    start = datetime.combine(first, datetime.min.time(), zone)
    return Window(start, datetime.combine(last + timedelta(days=1), datetime.min.time(), zone))


def _rows_of(mailbox: Mailbox, found: Iterable[Record]) -> dict[str, MailboxItem]:
    ids = [record.ref.id for record in found]
    rows = MailboxItem.objects.filter(sync_pass__mailbox=mailbox, object_type=EVENT, item_id__in=ids)
    return {row.item_id: row for row in rows}


def _event(record: Record, row: MailboxItem | None) -> FoundEvent:
    when = read_when(record.fields.get(WHEN_FIELD))
    name = str(record.fields.get("subject") or "(no subject)")
    starts_at = when.starts_at if when is not None else None
    return FoundEvent(record.ref.id, name, starts_at, when is not None and when.is_all_day, len(guests_of(record)), row)
