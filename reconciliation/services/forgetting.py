"""*Forget a person*: their values are counted, then replaced by a mark everywhere in our database, in batches.

What is looked for is an e-mail address, a name, or a reference of the person, in every spelling (core/spellings). The mark
leads to who did it and when; the words themselves are kept, encrypted, only until the work is done. Nothing is changed in
the connected systems, in log files and in backups, and the page says so. The audit log is append-only and holds no values
of records; what it names stays, and is counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce
from operator import and_, or_
from typing import Any

from django.apps import apps
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, models, transaction
from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from connectors.contract import Ref
from connectors.errors import ConnectorError
from reconciliation.core.counting import counted
from reconciliation.core.spellings import Finder, mark_of
from reconciliation.engine.wiring import Wiring
from reconciliation.models import (
    AuditEntry,
    Connection,
    Forgetting,
    HookDelivery,
    Operation,
    PeerName,
    RemoteUser,
    SyncPass,
    UnresolvedPerson,
)
from reconciliation.models.encrypted import EncryptedJSONField
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.passes.organisations import PERSON, PROSPECT
from reconciliation.services.audit import audit
from reconciliation.services.hook_receiver import take_up_spooled

KEYS_A_LOOK, ROWS_A_BATCH = 5_000, 100
BUDGET_SECONDS = 300.0
MOST_WORDS, LEAST_LETTERS, LONGEST = 20, 5, 200
SWEEPS = 2  # the second finds what a pass wrote behind the first one
LOST_AFTER = timedelta(minutes=30)  # longer than a task may take
ALIVE = "alive_at"  # in the position: when the work was last heard of
KEPT_FOR = timedelta(days=1)  # what was counted and never confirmed
EMAIL = "main_location[email]"
NAMES = ("name", "person_first_name", "person_last_name")

# Rows that are only a copy of what a system says are removed: the next look brings back what is still there.
REMOVED = (PeerName, RemoteUser, UnresolvedPerson)
# Of what an admin sets, only what a system may have said in it.
ONLY = {"connection": {"last_error"}, "syncpass": {"hold_reason", "sweep_blanked"}, "mappingversion": {"reason", "saved_by_name"}}
LEFT_ALONE = {"auditentry", "forgetting", "retention", "heartbeat", "passlease", "mappingtable", "fieldrule", "owndomain"}
OTHER_MODELS = ("admin.LogEntry", "django_q.Task")
WORDS = {
    "operation": "Writes in the journal",
    "runevent": "Events of runs",
    "case": "Cases",
    "conflictfield": "Fields in conflict",
    "binding": "Links and what both sides agreed on",
    "run": "Runs",
    "peername": "Names of accounts, kept for the duplicate check",
    "remoteuser": "Users of Outreach, kept for owners",
    "logentry": "Changes of users and groups",
    "task": "Failed tasks",
    "connection": "Connections",
    "syncpass": "Passes",
    "mappingversion": "Versions of mappings",
    "hookdelivery": "Deliveries of webhooks",
    "import": "Imports",
    "importrow": "Rows of imports",
    "prospectmatches": "Salesforce matches of prospects",
    "activity": "Activities that wait, or were carried",
    "email": "E-mails that mailboxes shared",
    "emailcopy": "Where e-mails lie in mailboxes",
    "mailthread": "Conversations that are followed",
    "unresolvedperson": "Unknown people",
    "madeperson": "People that were made",
    "blockedaddress": "Blocked addresses",
}
FIELD_WORDS = {
    "exchange": "request and answer",
    "source_ref": "record it was made for",
    "target_id": "record it was written to",
    "writer_key": "key against two writers",
    "name_key": "name in the index",
    "crm_ref": "record",
    "crm_base": "values of the CRM",
    "peer_base": "values of the peer",
    "crm_fields": "fields",
    "owner_text": "Assigned To",
    "origin": "where it came from",
    "trace": "where it happened",
}


class ForgettingRefused(ValueError):
    """What was entered names nobody; the sentence says what to enter."""


@dataclass(slots=True)
class Work:
    """One sweep over all tables. Without `changes` it only counts."""

    finder: Finder
    people: list[str]
    prospects: list[str]
    mark: str
    changes: bool
    ends: float
    monotonic: Callable[[], float]
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    left: int = 0


# --- asking ---------------------------------------------------------------------------------------------------------
def forget_ask(who: str, also: str, by: AbstractBaseUser) -> Forgetting:
    """Stores what shall be looked for and returns it, to be counted. Raises ForgettingRefused."""
    who = who.strip()
    words = [line.strip() for line in also.splitlines() if line.strip()]
    if not ("@" in who[1:-1] or (who.isascii() and who.isdigit() and len(who) < 19)):
        raise ForgettingRefused("Enter an e-mail address, or the number of a person in Workbooks.")
    if len(words) > MOST_WORDS:
        raise ForgettingRefused(f"At most {MOST_WORDS} more names or addresses at once.")
    for word in [*([who] if "@" in who else []), *words]:
        if not LEAST_LETTERS <= len(word) <= LONGEST or not ("@" in word or len(word.split()) > 1):
            raise ForgettingRefused(f"“{word[:40]}” would be found in too much: enter whole names and whole addresses.")
    row = Forgetting.objects.create(
        state=Forgetting.State.COUNTING,
        asked_by=by,
        asked_by_name=by.get_username(),
        terms={"who": who, "words": words, "people": [], "prospects": []},
        untouched=list(Connection.objects.order_by("pk").values_list("name", flat=True)),
    )
    audit(by, "forget a person: count", f"forgetting {row.pk}")
    return row


def forget_confirm(row: Forgetting, by: AbstractBaseUser) -> bool:
    """Lets the work begin. Returns whether it was this call that did."""
    won = Forgetting.objects.filter(pk=row.pk, state=Forgetting.State.COUNTED).update(
        state=Forgetting.State.RUNNING,
        position={ALIVE: timezone.now().isoformat()},
        counts={**row.counts, "blanked": []},
        asked_by=by,
        asked_by_name=by.get_username(),
    )
    if won:
        audit(by, "forget a person", f"forgetting {row.pk}", untouched=row.untouched)
    return bool(won)


def forget_drop(row: Forgetting, by: AbstractBaseUser) -> bool:
    """Forgets the words of something that shall not be done after all."""
    waiting = (Forgetting.State.COUNTING, Forgetting.State.COUNTED)
    won = Forgetting.objects.filter(pk=row.pk, state__in=waiting).update(state=Forgetting.State.DROPPED, terms={}, ended_at=timezone.now())
    if won:
        audit(by, "forget a person: not done", f"forgetting {row.pk}")
    return bool(won)


def drop_unconfirmed() -> int:
    """Forgets the words of what nobody confirmed within a day."""
    waiting = Forgetting.objects.filter(state__in=(Forgetting.State.COUNTING, Forgetting.State.COUNTED))
    old = waiting.filter(asked_at__lt=timezone.now() - KEPT_FOR)
    return old.update(state=Forgetting.State.DROPPED, terms={}, ended_at=timezone.now())


def words_of(row: Forgetting) -> list[str]:
    """Returns what is looked for, for the page that asks for confirmation; nothing once the work is done."""
    return [*row.terms.get("words", []), *row.terms.get("people", [])]


# --- counting -------------------------------------------------------------------------------------------------------
def forget_count(pk: int, *, wiring: Wiring | None = None, monotonic: Callable[[], float] = time.monotonic) -> str:
    """Asks the systems under which names they know the person, and counts where these stand in our database."""
    row = Forgetting.objects.get(pk=pk)
    if row.state != Forgetting.State.COUNTING:
        return "not waiting to be counted"
    terms, trouble = _look_up(row.terms, wiring or Wiring())
    work = _work(row, terms, changes=False, ends=float("inf"), monotonic=monotonic)
    for model in _models():
        for _ in _sweep(work, model, 0):
            pass
    counts = {"found": _listed(work.found), "trouble": trouble, "left": work.left, "audit": _in_audit(work)}
    Forgetting.objects.filter(pk=pk, state=Forgetting.State.COUNTING).update(state=Forgetting.State.COUNTED, terms=terms, counts=counts)
    return f"{counted(sum(work.found.values()), 'value')} found"


def _in_audit(work: Work) -> int:
    """Returns how many rows of the audit log name the person: they stay."""
    last = AuditEntry.objects.aggregate(m=models.Max("pk"))["m"] or 0
    found = 0
    for start in range(0, last, KEYS_A_LOOK):
        keys = list(_candidates(work, AuditEntry, start, min(start + KEYS_A_LOOK, last)))
        for entry in AuditEntry.objects.filter(pk__in=keys).iterator(chunk_size=ROWS_A_BATCH):
            found += work.finder.finds([entry.subject, entry.detail, entry.username])
    return found


def _look_up(given: dict[str, Any], wiring: Wiring) -> tuple[dict[str, Any], str]:
    """Returns the terms with what Workbooks and Outreach say of the person, and what went wrong in asking."""
    who, words = given["who"], list(given["words"])
    people, prospects, troubles = set(), set(), []
    mails = {word for word in [who, *words] if "@" in word}
    # Mailboxes are not searched by name or address: their users' contacts are none of ours.
    for sync_pass in SyncPass.objects.whole().exclude(name__in=MAILBOX_PASSES).select_related("crm", "peer"):
        try:
            for record in _people_of(sync_pass.crm, who, wiring):
                people.add(str(Ref(sync_pass.crm.system, PERSON, record.ref.id)))
                first, last = (str(record.fields.get(n) or "").strip() for n in NAMES[1:])
                names = {str(record.fields.get("name") or "").strip(), f"{first} {last}".strip()}
                words += [n for n in sorted(names) if len(n) >= LEAST_LETTERS and len(n.split()) > 1]
                mails |= {str(record.fields[EMAIL]).strip()} if record.fields.get(EMAIL) else set()
            prospects |= _prospects_of(sync_pass.peer, mails, wiring)
        except ConnectorError as error:
            troubles.append(error.sentence)
        if who.isdigit():
            people.add(str(Ref(sync_pass.crm.system, PERSON, who)))
    words += sorted(mails)
    refs = sorted(people)
    terms = {"who": who, "words": list(dict.fromkeys(words)), "people": refs, "prospects": sorted(prospects)}
    return terms, " ".join(dict.fromkeys(troubles))


def _people_of(connection: Connection, who: str, wiring: Wiring) -> list[Any]:
    connector = wiring.open_connector(connection)
    try:
        columns = [*NAMES, EMAIL]
        return list(connector.read(PERSON, [who], columns) if who.isdigit() else connector.find(PERSON, EMAIL, [who], columns))[:MOST_WORDS]
    finally:
        connector.close()


def _prospects_of(connection: Connection, mails: set[str], wiring: Wiring) -> set[str]:
    if not mails:
        return set()
    connector = wiring.open_connector(connection)
    try:
        return {record.ref.id for record in connector.find(PROSPECT, "emails", sorted(mails), ["emails"])}
    finally:
        connector.close()


def left_lying(now: datetime) -> list[tuple[str, int]]:
    """Returns (job, row) of the work whose task was lost, with its worker or its queue, for the daily round to ask for it
    again, and notes that: what is under way, or was just asked for, is not begun once more. Both jobs bear it all the same."""
    jobs = {Forgetting.State.COUNTING: "forget_count", Forgetting.State.RUNNING: "forget"}
    found = []
    with transaction.atomic():
        for row in Forgetting.objects.select_for_update().filter(state__in=jobs).order_by("pk"):
            if now - _alive_at(row) > LOST_AFTER:
                Forgetting.objects.filter(pk=row.pk).update(position={**row.position, ALIVE: now.isoformat()})
                found.append((jobs[Forgetting.State(row.state)], row.pk))
    return found


def _alive_at(row: Forgetting) -> datetime:
    """Returns when the work was last heard of."""
    noted = row.position.get(ALIVE)
    return datetime.fromisoformat(noted) if noted else row.asked_at


# --- blanking -------------------------------------------------------------------------------------------------------
def forget_carry_on(pk: int, *, budget_seconds: float = BUDGET_SECONDS, monotonic: Callable[[], float] = time.monotonic) -> bool:
    """Blanks from where it stands until its time is over. Returns whether the work is done: everything was gone through
    twice, and then the words are forgotten too."""
    row = Forgetting.objects.get(pk=pk)
    if row.state != Forgetting.State.RUNNING:
        return True
    take_up_spooled()  # what waits in files is looked through with the rest
    work = _work(row, row.terms, changes=True, ends=monotonic() + budget_seconds, monotonic=monotonic)
    position = dict(row.position)
    for sweep in range(int(position.get("sweep", 0)), SWEEPS):
        for model in _models():
            label = model._meta.label
            if label in position.get("done", []):
                continue
            for reached in _sweep(work, model, int(position.get(label, 0))):
                position[label] = reached
                _save(row, position, work)
                if work.monotonic() >= work.ends:
                    return False
            position["done"] = [*position.get("done", []), label]
        position = {"sweep": sweep + 1}
        if sweep + 1 < SWEEPS:
            work.left = 0
        _save(row, position, work)
    counts = {**row.counts, "left": work.left}
    ended = {"state": Forgetting.State.FINISHED, "ended_at": timezone.now(), "terms": {}, "position": {}, "counts": counts}
    if Forgetting.objects.filter(pk=pk, state=Forgetting.State.RUNNING).update(**ended):
        audit(row.asked_by, "forget a person: done", f"forgetting {pk}", blanked=counts.get("blanked", []), left=work.left)
    return True


def _save(row: Forgetting, position: dict[str, Any], work: Work) -> None:
    known = Counter({(entry["table"], entry["field"]): entry["rows"] for entry in row.counts.get("blanked", [])})
    known.update(work.found)
    work.found.clear()
    row.counts = {**row.counts, "blanked": _listed(known)}
    here = {**position, ALIVE: timezone.now().isoformat()}
    Forgetting.objects.filter(pk=row.pk, state=Forgetting.State.RUNNING).update(position=here, counts=row.counts)


def _work(row: Forgetting, terms: dict[str, Any], *, changes: bool, ends: float, monotonic: Callable[[], float]) -> Work:
    mark = mark_of(row.pk)
    finder = Finder([*terms["words"], *terms["people"]], mark)
    return Work(finder, terms["people"], terms["prospects"], mark, changes, ends, monotonic)


def _listed(found: Counter[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"table": table, "field": name, "rows": n} for (table, name), n in sorted(found.items())]


def _models() -> Iterator[type[models.Model]]:
    """Yields every table that may hold what a system said: all of ours, whoever adds them, and two of the frame's."""
    for model in apps.get_app_config("reconciliation").get_models():
        if model._meta.model_name not in LEFT_ALONE and isinstance(model._meta.pk, models.IntegerField):
            yield model
    for label in OTHER_MODELS:
        yield apps.get_model(label)


def _columns(model: type[models.Model]) -> tuple[list[Any], list[Any]]:
    """Returns the columns of free text and of JSON that may hold a person's values."""
    only = ONLY.get(str(model._meta.model_name))
    fields = [f for f in model._meta.concrete_fields if only is None or f.name in only]
    texts = [f for f in fields if isinstance(f, models.CharField | models.TextField) and not f.choices and not f.primary_key]
    return [f for f in texts if not isinstance(f, EncryptedJSONField)], [f for f in fields if isinstance(f, models.JSONField)]


def _sweep(work: Work, model: type[models.Model], position: int) -> Iterator[int]:
    """Goes through a table by its keys and yields how far it came."""
    ends = model._default_manager.aggregate(first=models.Min("pk"), last=models.Max("pk"))
    if ends["last"] is None:
        return
    position, last = max(position, ends["first"] - 1), ends["last"]  # what was pruned is not looked at
    while position < last:
        reached = min(position + KEYS_A_LOOK, last)
        part: list[int] = []
        for key in _candidates(work, model, position, reached):
            part.append(key)
            if len(part) == ROWS_A_BATCH:
                _treat(work, model, part)
                part = []
        _treat(work, model, part)
        position = reached
        yield position


def _candidates(work: Work, model: type[models.Model], after: int, to: int) -> Iterator[int]:
    """Yields the keys of the rows in which a term may stand: those that hold all pieces of one."""
    texts, documents = _columns(model)
    names = {f.name: f.name for f in texts} | {f.name: f"{f.name}_as_text" for f in documents}
    rows = model._default_manager.filter(pk__gt=after, pk__lte=to)
    rows = rows.annotate(**{f"{f.name}_as_text": Cast(f.name, TextField()) for f in documents})
    wanted = [_holds(list(names.values()), pieces) for pieces in work.finder.fragments]
    if model is Operation and work.prospects:
        wanted.append(Q(object_type=PROSPECT, target_id__in=work.prospects))
    if model is HookDelivery and work.prospects:
        wanted.append(Q(object_type=PROSPECT, object_id__in=work.prospects))
    if model._meta.label == "django_q.Task":  # its arguments are pickled: no database looks into them
        wanted = [Q()]
    if not wanted:
        return
    rows = rows.filter(reduce(or_, wanted)) if all(wanted) else rows
    yield from list(rows.order_by("pk").values_list("pk", flat=True))


def _holds(columns: list[str], pieces: list[str]) -> Q:
    return reduce(or_, (reduce(and_, (Q(**{f"{name}__icontains": piece}) for piece in pieces)) for name in columns)) if pieces else Q()


@transaction.atomic
def _treat(work: Work, model: type[models.Model], keys: list[int]) -> None:
    """Counts or blanks a batch of rows, as they are now."""
    if not keys:
        return
    rows = model._default_manager.filter(pk__in=keys).order_by("pk")
    table = WORDS.get(str(model._meta.model_name), str(model._meta.verbose_name_plural).capitalize())
    for row in rows.select_for_update() if work.changes else rows:
        changed = _changed(work, model, row)
        if not changed:
            continue
        if model is Operation and row.state in Operation.OPEN:
            work.left += 1  # under way: what it writes is needed until it is answered
            continue
        for name in changed:
            work.found[(table, _said(name))] += 1
        if work.changes:
            _store(work, model, row, changed)


def _said(name: str) -> str:
    return FIELD_WORDS.get(name, name.replace("_", " "))


def _changed(work: Work, model: type[models.Model], row: Any) -> dict[str, Any]:
    """Returns the columns that hold something of the person, as they shall be."""
    texts, documents = _columns(model)
    changed: dict[str, Any] = {}
    for column in texts:
        value = getattr(row, column.attname)
        after = work.finder.blank(value)
        if isinstance(value, str) and after != value:
            changed[column.name] = after[: column.max_length] if column.max_length else after
    for column in documents:
        value = getattr(row, column.attname)
        after = work.finder.blank(value)
        if after != value:
            changed[column.name] = after
    if model is Operation:
        changed |= _of_person(work, row)
    if model is HookDelivery and row.object_type == PROSPECT and row.object_id in work.prospects:
        changed |= {"body": {"forgotten": work.mark}, "object_id": work.mark}
    if model._meta.label == "django_q.Task" and work.finder.finds([str(row.args), str(row.kwargs), str(row.result)]):
        changed["result"] = None
    return changed


def _of_person(work: Work, row: Operation) -> dict[str, Any]:
    """Returns what goes from a write to the person's own record: the answer of a system tells everything about them."""
    if row.source_ref.startswith("people:address:") and work.finder.blank(row.source_ref) != row.source_ref:
        return _of_made_person(work, row)
    is_theirs = row.source_ref in work.people or (row.object_type == PROSPECT and row.target_id in work.prospects)
    if not is_theirs:
        return {}
    changed: dict[str, Any] = {"exchange": {"forgotten": work.mark}} if row.exchange else {}
    if row.object_type == PROSPECT and row.target_id:
        changed["target_id"] = work.mark
        changed["writer_key"] = work.mark
    return changed


def _of_made_person(work: Work, row: Operation) -> dict[str, Any]:
    """Returns what goes from a write to somebody who was made of the very address: every value is theirs, part of a name, too."""
    values = {"before": dict.fromkeys(row.before, work.mark), "after": dict.fromkeys(row.after, work.mark), "origin": {"name": work.mark}}
    told = {"exchange": {"forgotten": work.mark}} if row.exchange else {}
    return {**values, **told, "source_ref": f"people:address:{work.mark}", "writer_key": work.mark, "reason": work.mark}


def _store(work: Work, model: type[models.Model], row: Any, changed: dict[str, Any]) -> None:
    rows = model._default_manager.filter(pk=row.pk)
    if model in REMOVED or model._meta.label == "django_q.Task":
        rows.delete()
        if model is PeerName:  # the duplicate check must not miss an account: names are read anew
            SyncPass.objects.filter(pk=row.sync_pass_id).update(names_read_until=None)
        return
    if model is Operation and row.state == Operation.State.PLANNED:
        changed |= {"state": Operation.State.REFUSED, "error": f"{row.error} A value of it was forgotten.".strip()}
        changed["error"] = work.finder.blank(changed["error"])
    try:
        with transaction.atomic():
            rows.update(**changed)
    except IntegrityError:  # two rows may not say the same there
        rows.update(**{name: f"{value} {row.pk}" if isinstance(value, str) else value for name, value in changed.items()})
