"""Keeps the search index (models.SearchKey) as a pass goes: at most one upsert a batch, none for what it knows already.

Called by `engine.organisations` and `engine.people`, and by staff decisions that bind. Reads nothing remote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from connectors.contract import Record, Ref, Value
from reconciliation.core.ledger import Outcome
from reconciliation.core.values import name_key
from reconciliation.engine.context import RunContext
from reconciliation.engine.page_work import PageWork
from reconciliation.engine.pair_work import PairWork
from reconciliation.models import Operation, PeerName, Run, SearchKey, SyncPass
from reconciliation.models.bulk import insert_rows
from reconciliation.passes.organisations import ACCOUNT

NAME, FORMER, EMAIL = SearchKey.Kind.NAME.value, SearchKey.Kind.FORMER.value, SearchKey.Kind.EMAIL.value
NAME_PARTS = ("FirstName", "LastName")
NAMES = (*NAME_PARTS, "firstName", "lastName", "name", "Name")
QUIET = (Outcome.UNCHANGED, Outcome.UPDATED, Outcome.EXCLUDED)


class Keys:
    """What is to be stored, each key of a record once; a present name stands above a former one."""

    def __init__(self, sync_pass: SyncPass, at: datetime) -> None:
        self._sync_pass, self._at = sync_pass, at
        self._rows: dict[tuple[str, str], SearchKey] = {}

    def add(self, ref: str, kind: str, text: Value, about: str = "") -> None:
        key = name_key(text)
        known = self._rows.get((ref, key))
        if key and (known is None or known.kind == FORMER):
            shown = str(text)[:255]
            self._rows[ref, key] = SearchKey(
                sync_pass=self._sync_pass, ref=ref[:320], kind=kind, key=key, text=shown, about=about[:320], seen_at=self._at
            )

    def save(self) -> None:
        """One upsert; nothing at all when nothing was added."""
        insert_rows(list(self._rows.values()), unique=["sync_pass", "ref", "key"], update=["kind", "text", "about", "seen_at"])


def note_page(context: RunContext, work: PageWork) -> None:
    """Stores the names of the page's organisations that are new to us, and what was renamed."""
    keys = Keys(context.sync_pass, context.wiring.now())
    for id_, decision in work.decisions.items():
        name, binding, ref = decision.record.fields.get("name"), work.bindings.get(id_), str(decision.record.ref)
        if binding is not None and binding.name_key == name_key(name) and decision.outcome in QUIET:
            continue  # indexed when it was bound
        keys.add(ref, NAME, name)
        if binding is not None and binding.name_key != name_key(name):
            keys.add(ref, FORMER, binding.name)
        operation = work.operations.get(id_)
        if operation is not None and operation.state == Operation.State.CONFIRMED and operation.before.get("name"):
            keys.add(str(Ref(context.peer.connector.system, ACCOUNT, operation.target_id)), FORMER, operation.before["name"], about=ref)
    keys.save()


def note_pairs(context: RunContext, work: PairWork) -> None:
    """Stores names and e-mails of the records of a page that changed or are new to us."""
    keys, kind = Keys(context.sync_pass, context.wiring.now()), context.terms.kind
    for id_, decision in work.decisions.items():
        if decision.reason == "echo":
            continue
        both = [r for r in (decision.crm, decision.peer) if r is not None and r.fields]
        records = both if decision.record in both else [decision.record, *both]
        for record in _as_written(records, work.operations.get(id_, [])):
            if not record.fields:
                continue
            name = kind.name_of(record)
            if name != record.ref.id:  # of what is gone only that is known, and it had a name before
                keys.add(str(record.ref), NAME, name)
            for key in kind.keys(record) if kind.no_key == "no_email" else ():
                keys.add(str(record.ref), EMAIL, key)
    keys.save()


def _as_written(records: Sequence[Record], operations: Sequence[Operation]) -> list[Record]:
    """Returns the records with the names that these writes gave them; Salesforce makes up Name from its parts."""
    written = {op.target_ref: op.after for op in operations if op.state == Operation.State.CONFIRMED}
    now = []
    for record in records:
        after = written.get(str(record.ref), {})
        fields = {**record.fields, **{name: after[name] for name in NAMES if name in after}}
        if not {*NAME_PARTS, "firstName", "lastName"}.isdisjoint(after):
            fields.pop("name", None)
            whole = " ".join(str(fields[name]) for name in NAME_PARTS if fields.get(name))
            fields |= {"Name": whole} if whole else {}
        now.append(replace(record, fields=fields))
    return now


def note_people(context: RunContext, people: Sequence[Record], prospects: dict[str, Record], organisations: dict[str, str]) -> None:
    """Stores names and e-mails of employed people and of their prospects. `organisations` maps a person's id to the id
    of the employer."""
    keys = Keys(context.sync_pass, context.wiring.now())
    for person in people:
        ref = str(person.ref)
        keys.add(ref, NAME, person.fields.get("name"), about=organisations.get(person.ref.id, ""))
        keys.add(ref, EMAIL, person.fields.get("main_location[email]"), about=organisations.get(person.ref.id, ""))
        prospect = prospects.get(person.ref.id)
        if prospect is None:
            continue
        keys.add(str(prospect.ref), NAME, prospect.fields.get("name"), about=ref)
        emails = prospect.fields.get("emails")
        for mail in emails if isinstance(emails, tuple) else ():
            keys.add(str(prospect.ref), EMAIL, mail, about=ref)
    keys.save()


def note_names(sync_pass: SyncPass, named: Iterable[tuple[str, str, str]], at: datetime) -> None:
    """Stores (ref, kind, name) of a decision by staff or of a recovered record."""
    keys = Keys(sync_pass, at)
    for ref, kind, name in named:
        keys.add(ref, kind, name)
    keys.save()


def note_renamed_accounts(sync_pass: SyncPass, system: str, accounts: Sequence[Record], at: datetime) -> None:
    """Stores the names under which the local index still knows these accounts, where they bear others by now."""
    before = PeerName.objects.filter(sync_pass=sync_pass, peer_id__in=[a.ref.id for a in accounts]).values_list(
        "peer_id", "name", "name_key"
    )
    now = {a.ref.id: name_key(a.fields.get("name")) for a in accounts}
    renamed = [(str(Ref(system, ACCOUNT, id_)), FORMER, name) for id_, name, key in before if now[id_] != key]
    note_names(sync_pass, renamed, at)


def catch_up(runs: Iterable[Run], at: datetime) -> None:
    """Stores the names in the journal of runs whose process died before it came to that."""
    for run in runs:
        keys = Keys(run.sync_pass, at)
        rows = Operation.objects.filter(run=run, state=Operation.State.CONFIRMED).exclude(kind=Operation.Kind.MOVE_PROSPECT)
        for ref, origin in rows.values_list("source_ref", "origin").iterator():
            keys.add(ref, NAME, origin.get("name"))
        keys.save()
