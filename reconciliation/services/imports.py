"""Imports of Salesforce leads and contacts as prospects: chosen, looked at, started, and what failed tried again (S2.13 to
S2.19, D28). The work itself is `engine.importing`; the queue carries it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from connectors.contract import All, AnyOf, Condition, Op, Record, Test
from connectors.errors import ConnectorError
from connectors.salesforce.connector import SalesforceConnector
from reconciliation.core.counting import bent, counted
from reconciliation.engine import gate, importing, stop
from reconciliation.engine.staff import Busy
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Binding, Case, Import, ImportRow, Policy, RecordType, SyncPass
from reconciliation.models.bulk import insert_rows
from reconciliation.selectors import pass_named
from reconciliation.services.audit import audit
from reconciliation.services.import_choice import MOST_ROWS, OBJECTS, Choice, ImportRefused, choice_of

PASS = "prospects"
MOST_FOUND, LEAST_LETTERS, LONGEST_QUESTION = 25, 2, 254
COLUMNS = {"Contact": ("Name", "Email", "Account.Name"), "Lead": ("Name", "Email", "Company")}
BEHIND = "zzzz"  # what follows a beginning and still sorts among what begins so, in every collation
State, Reason = ImportRow.State, ImportRow.Reason
NEVER_AGAIN = (Reason.TWICE,)  # trying again would say the same


class PassAtWork(Exception):
    """The pass is at work; the import is stored, and waits for the queue to carry it."""

    def __init__(self, batch: Import) -> None:
        super().__init__(batch.title)
        self.batch = batch


def imports_pass() -> SyncPass | None:
    """Returns the pass that imports belong to, None before both systems are connected."""
    return pass_named(PASS)


def same_email() -> str:
    """Returns what the next import does with an e-mail address that a prospect has already (S2.1)."""
    row = Policy.objects.filter(pk=1).first()
    return row.same_email if row is not None else Policy.SameEmail.PREVENT


def may_not_start(sync_pass: SyncPass) -> str:
    """Returns why no import may be started now, "" when one may."""
    if why := stop.stopped_sentence():
        return why
    if gate.is_closed(sync_pass):
        return "The pass of prospects was never switched on. Look at its first preview, then go on under Set-up."
    if sync_pass.hold_reason:
        return f"{sync_pass.hold_reason}. The pass goes on when that was mended, and imports with it."
    return ""


# --- choosing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A lead or contact of Salesforce, as a list to choose from shows it."""

    object_type: str
    id: str
    name: str
    email: str
    company: str
    url: str
    peer_id: str = ""  # the prospect it is linked to


@dataclass(frozen=True, slots=True)
class View:
    """A list view that people saved in Salesforce."""

    object_type: str
    id: str
    title: str
    is_usable: bool

    @property
    def key(self) -> str:
        return f"{self.object_type}:{self.id}"


@contextmanager
def _salesforce(sync_pass: SyncPass, wiring: Wiring | None) -> Iterator[SalesforceConnector]:
    connector = (wiring or Wiring()).open_connector(sync_pass.crm)
    try:
        yield connector  # type: ignore[misc]  # the only CRM of this pass
    finally:
        connector.close()


def import_search(sync_pass: SyncPass, text: str, *, wiring: Wiring | None = None) -> list[Found]:
    """Returns the leads and contacts whose e-mail address is this, or whose name or last name begins so, at most MOST_FOUND
    of a type. Raises ImportRefused for too little to go by, ConnectorError."""
    text = " ".join(text.split())
    if not LEAST_LETTERS <= len(text) <= LONGEST_QUESTION:
        raise ImportRefused(f"Enter a whole e-mail address, or at least {LEAST_LETTERS} letters of a name.")
    found: list[Found] = []
    with _salesforce(sync_pass, wiring) as salesforce:
        for record_type in importing.record_types(sync_pass):
            for record in _matching(salesforce, record_type.crm_object, text):
                found.append(_found(record, salesforce.web_url(record.ref)))
    linked = _linked(sync_pass, [it.id for it in found])
    return [it if it.id not in linked else _with_link(it, linked[it.id]) for it in found]


def _with_link(it: Found, peer_id: str) -> Found:
    return Found(it.object_type, it.id, it.name, it.email, it.company, it.url, peer_id)


def _matching(salesforce: SalesforceConnector, object_type: str, text: str) -> list[Record]:
    columns = COLUMNS[object_type]
    if "@" in text:
        records = salesforce.find(object_type, "Email", [text], columns)
    else:
        condition: Condition = AnyOf((_begins("Name", text), _begins("LastName", text)))
        if object_type == "Lead":
            condition = All((condition, Test("IsConverted", Op.FALSE)))
        records = list(salesforce.changes(object_type, where=condition, columns=columns, page_size=MOST_FOUND).records)
    living = [r for r in records if not r.is_deleted and r.succeeded_by is None]
    return sorted(living, key=lambda r: str(r.fields.get("Name") or "").casefold())[:MOST_FOUND]


def _begins(name: str, text: str) -> Condition:
    return All((Test(name, Op.GE, text), Test(name, Op.LT, text + BEHIND)))


def _found(record: Record, url: str) -> Found:
    company = record.fields.get("Account.Name") or record.fields.get("Company")
    said = [str(value or "") for value in (record.fields.get("Name"), record.fields.get("Email"), company)]
    return Found(record.ref.object_type, record.ref.id, *said, url)


def _linked(sync_pass: SyncPass, crm_ids: Sequence[str]) -> dict[str, str]:
    rows = Binding.objects.filter(sync_pass=sync_pass, crm_type__in=OBJECTS.values(), crm_id__in=crm_ids, is_tombstone=False)
    return dict(rows.values_list("crm_id", "peer_id"))


def import_views(sync_pass: SyncPass, *, wiring: Wiring | None = None) -> list[View]:
    """Returns the list views of leads and contacts. Raises ConnectorError."""
    with _salesforce(sync_pass, wiring) as salesforce:
        types = [record_type.crm_object for record_type in importing.record_types(sync_pass)]
        return [View(name, v.id, v.title, v.is_usable) for name in types for v in salesforce.views(name)]


def choice_of_view(sync_pass: SyncPass, key: str, *, wiring: Wiring | None = None) -> tuple[str, Choice]:
    """Returns the title of a list view and the records in it now. Raises ImportRefused, ConnectorError."""
    object_type, _, view_id = key.partition(":")
    with _salesforce(sync_pass, wiring) as salesforce:
        types = {record_type.crm_object for record_type in importing.record_types(sync_pass)}
        views = salesforce.views(object_type) if object_type in types else []
        view = next((v for v in views if v.id == view_id), None)
        if view is None:
            raise ImportRefused("That list view is gone, or our user may not see it any more.")
        if not view.is_usable:
            raise ImportRefused(f"Salesforce cannot tell which records are in “{view.title}”. Choose another list view.")
        ids = salesforce.ids_in_view(object_type, view_id, most=MOST_ROWS)
    if len(ids) > MOST_ROWS:  # read no further: how many there are is not known
        raise ImportRefused(f"“{view.title}” holds more than {MOST_ROWS:,} {object_type}s. Divide them into several list views.")
    if not ids:
        raise ImportRefused(f"There is nobody in “{view.title}” now.")
    return f"{view.title} ({object_type}s)", choice_of(ids)


# --- looking at it before it starts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be imported, counted without writing or asking anything."""

    choice: Choice
    by_type: dict[str, int]
    addresses: int
    twice: int
    linked: int
    off: dict[str, int] = field(default_factory=dict)  # rows of object types that are not synced

    @property
    def rows(self) -> int:
        return len(self.choice.rows)

    @property
    def to_do(self) -> int:
        return self.rows - self.twice - self.linked - sum(self.off.values())


def import_preview(sync_pass: SyncPass, choice: Choice) -> Preview:
    """Counts what an import of these rows would meet, as far as our own database can tell."""
    once = {row.key: row for row in choice.rows}
    types = {record_type.crm_object for record_type in importing.record_types(sync_pass)}
    by_type = Counter(row.object_type for row in once.values() if row.object_type)
    wanted = [row.given for row in once.values() if row.object_type in types]
    return Preview(
        choice,
        dict(by_type),
        addresses=sum(not row.object_type for row in once.values()),
        twice=len(choice.rows) - len(once),
        linked=len(_linked_of_many(sync_pass, wanted)),
        off={name: n for name, n in by_type.items() if name not in types},
    )


def _linked_of_many(sync_pass: SyncPass, crm_ids: Sequence[str]) -> set[str]:
    """Returns which of these are linked; a statement takes so many ids and no more."""
    size = 5000
    return {crm_id for start in range(0, len(crm_ids), size) for crm_id in _linked(sync_pass, crm_ids[start : start + size])}


# --- starting, trying again -------------------------------------------------------------------------------------------


def import_start(sync_pass: SyncPass, choice: Choice, user: AbstractBaseUser, *, source: str, title: str) -> Import:
    """Stores the rows and returns the import, to be carried out by the job `carry_import`. It keeps the policy of this
    moment (S2.4). Raises ImportRefused."""
    if why := may_not_start(sync_pass):
        raise ImportRefused(why)
    if not choice.rows:
        raise ImportRefused("None of the rows names a lead or contact. Nothing was imported.")
    if not RecordType.objects.filter(sync_pass=sync_pass, is_on=True).exists():
        raise ImportRefused("Neither leads nor contacts are synced: see Record types.")
    left_out = f"{counted(len(bad), 'row')} named nobody and {bent(len(bad), 'was', 'were')} left out." if (bad := choice.bad) else ""
    with transaction.atomic():
        batch = Import.objects.create(
            sync_pass=sync_pass,
            source=source,
            title=title[:200],
            note=left_out,
            total=len(choice.rows),
            started_by_id=user.pk,
            started_by_name=user.get_username(),
            same_email=same_email(),
            created_at=timezone.now(),
        )
        insert_rows(_rows(batch, choice))
        Import.objects.filter(pk=batch.pk).update(done=batch.rows.exclude(state=State.WAITING).count())
        audit(user, "import prospects", f"import {batch.pk}", rows=batch.total, source=source, same_email=batch.same_email)
    return batch


def _rows(batch: Import, choice: Choice) -> list[ImportRow]:
    """Returns the rows of an import; the same once more has failed before it begins."""
    first: dict[str, int] = {}
    rows = []
    for number, chosen in enumerate(choice.rows, 1):
        row = ImportRow(batch=batch, number=number, given=chosen.given, crm_type=chosen.object_type)
        if chosen.object_type:
            row.crm_id = chosen.given
        if (earlier := first.setdefault(chosen.key, number)) != number:
            row.state, row.reason, row.sentence = State.FAILED, Reason.TWICE, f"The same as row {earlier}."
        rows.append(row)
    return rows


def import_one(sync_pass: SyncPass, given: str, user: AbstractBaseUser, *, wiring: Wiring | None = None) -> ImportRow:
    """Imports one lead or contact by the same road at once, and returns its row (S2.13). Raises ImportRefused, WritesStopped,
    ConnectorError; the import then waits, and its page says so. Raises PassAtWork when the queue has to carry it."""
    choice = choice_of([given])
    if len(choice.rows) != 1:
        raise ImportRefused(f"“{choice.bad[0].said}” names no lead or contact: {choice.bad[0].why}.")
    batch = import_start(sync_pass, choice, user, source=Import.Source.SEARCH, title=choice.rows[0].given)
    try:
        importing.carry(batch, wiring=wiring)
    except ConnectorError as error:
        import_interrupt(batch, f"{error.sentence}. {error.remedy}")
        raise
    except stop.WritesStopped as refusal:
        import_interrupt(batch, str(refusal))
        raise
    except (Busy, importing.StillHeld) as later:
        raise PassAtWork(batch) from later
    row = batch.rows.select_related("batch", "case").get()
    if row.name:
        Import.objects.filter(pk=batch.pk).update(title=row.name[:200])
    return row


def import_interrupt(batch: Import, why: str) -> None:
    """Notes why an import does not go on by itself; what has its outcome keeps it, the rest waits."""
    going = (Import.State.WAITING, Import.State.RUNNING)
    Import.objects.filter(pk=batch.pk, state__in=going).update(state=Import.State.INTERRUPTED, note=why[:2000], ended_at=timezone.now())


def import_go_on(batch: Import, user: AbstractBaseUser) -> bool:
    """Lets an interrupted import go on. Returns whether it was this call that did. Raises ImportRefused."""
    if why := may_not_start(batch.sync_pass):
        raise ImportRefused(why)
    won = Import.objects.filter(pk=batch.pk, state=Import.State.INTERRUPTED).update(state=Import.State.WAITING, note="", ended_at=None)
    if won:
        audit(user, "import prospects: go on", f"import {batch.pk}")
    return bool(won)


def import_retry(batch: Import, user: AbstractBaseUser, *, reason: str = "", row_ids: Sequence[int] | None = None) -> int:
    """Lets failed rows wait again: those of one reason, these, or all; never what is settled. Returns how many.
    Raises ImportRefused."""
    if why := may_not_start(batch.sync_pass):
        raise ImportRefused(why)
    rows = may_be_retried(batch)
    if reason:
        rows = rows.filter(reason=reason)
    if row_ids is not None:
        rows = rows.filter(pk__in=row_ids)
    with transaction.atomic():
        Import.objects.select_for_update().get(pk=batch.pk)  # the work may be closing it just now
        _rearm(rows, user)
        fresh = {"state": State.WAITING, "reason": "", "sentence": "", "peer_id": "", "case": None, "run": None}
        by_address = rows.filter(given__contains="@").update(**fresh, crm_type="", crm_id="")
        n = by_address + rows.update(**fresh)
        if n:
            done = batch.rows.exclude(state=State.WAITING).count()
            going = {"state": Import.State.WAITING, "note": "", "ended_at": None}
            Import.objects.filter(pk=batch.pk).exclude(state=Import.State.RUNNING).update(**going)
            Import.objects.filter(pk=batch.pk).update(done=done)
            audit(user, "import prospects: retry", f"import {batch.pk}", rows=n, reason=reason)
    return n


def _rearm(rows: QuerySet[ImportRow], user: AbstractBaseUser) -> None:
    """Closes the errors of rows that are tried again: an open one would hold its record until something of it changed."""
    errors = Case.objects.filter(pk__in=rows.values("case"), kind=Case.Kind.ERROR, state=Case.State.OPEN)
    errors.update(state=Case.State.RESOLVED, decision="retry", decided_by_id=user.pk, closed_at=timezone.now())


DECIDED = Q(case__kind=Case.Kind.REMAP) & ~Q(case__state=Case.State.OPEN)
KEPT = Q(case__kind=Case.Kind.REMAP, case__state=Case.State.RESOLVED, case__decision="keep")


def may_be_retried(batch: Import) -> QuerySet[ImportRow]:
    """Returns the failures that may be tried again: not those of which a person has decided that they stay as
    they are: tried again, they would fail without a question that is still open."""
    return batch.rows.filter(state=State.FAILED).exclude(reason__in=NEVER_AGAIN).exclude(KEPT)


# --- what pages show --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """The failures of one reason."""

    reason: str
    title: str
    n: int
    decided: int  # whose question somebody has decided since
    kept: int  # of these, who stays as it was: not tried again
    may_retry: bool
    remedy: str


REMEDIES = {
    Reason.SAME_EMAIL: "Find the Salesforce matches of each prospect and choose the preferred CRM ID.",
    Reason.NO_EMAIL: "Enter an address in Salesforce, then retry.",
    Reason.TWICE: "Nothing to do: the first of them counts.",
    Reason.EXCLUDED: "Change the excluded addresses, or leave these people out.",
    Reason.REQUIRED: "Fill the field in Salesforce, then retry.",
    Reason.NOT_FOUND: "Look for the record in Salesforce.",
    Reason.OTHER: "Read why at each of them, mend it, then retry.",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """Where an import stands: rows by outcome, and failures by reason."""

    waiting: int
    created: int
    linked: int
    present: int
    kept: int  # already in Outreach, kept on another CRM ID
    failed: int
    groups: list[Group]

    def retryable(self) -> int:
        return sum(group.n - group.kept for group in self.groups if group.may_retry)


def import_counts(batch: Import) -> Counts:
    """Counts the rows of an import, in one query."""
    decided = Count("pk", filter=DECIDED)
    stays = Count("pk", filter=KEPT)
    found = list(batch.rows.order_by().values("state", "reason").annotate(n=Count("pk"), decided=decided, stays=stays))
    by_state: Counter[str] = Counter()
    for line in found:
        by_state[line["state"]] += line["n"]
    kept = sum(line["n"] for line in found if (line["state"], line["reason"]) == (State.PRESENT, Reason.SAME_EMAIL))
    failed = {line["reason"]: line for line in found if line["state"] == State.FAILED}
    groups = [_group(reason, failed[reason]) for reason in Reason.values if reason in failed]
    states = (by_state[s] for s in (State.WAITING, State.CREATED, State.LINKED))
    return Counts(*states, by_state[State.PRESENT] - kept, kept, by_state[State.FAILED], groups)


OUTCOMES = (State.CREATED, State.LINKED, State.PRESENT, State.FAILED)


def count_outcomes(batches: Iterable[Import]) -> None:
    """Sets on each import how many of its rows were created, linked, there already and failed, in one query."""
    by_pk = {batch.pk: batch for batch in batches}
    for batch in by_pk.values():
        batch.outcomes = dict.fromkeys(map(str, OUTCOMES), 0)  # type: ignore[attr-defined]
    rows = ImportRow.objects.filter(batch__in=by_pk, state__in=OUTCOMES).order_by()
    for pk, state, n in rows.values_list("batch", "state").annotate(n=Count("pk")):
        by_pk[pk].outcomes[state] = n  # type: ignore[attr-defined]


def _group(reason: str, line: dict[str, int]) -> Group:
    known = Reason(reason)
    return Group(reason, known.label, line["n"], line["decided"], line["stays"], known not in NEVER_AGAIN, REMEDIES[known])
