"""Writes to one mailbox: batches, one after another, each person's own answer read and kept (reference 4.2, 4.3).

A refusal of a whole call names no contact, so its rows are sent again in halves: they were certainly not done. Everything
else goes out once; what was not answered is in doubt. What was written is never looked up in the list of changes, which
may be minutes behind: the answer to the write is what stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.contract import Exchange, Record, Ref, Write, WriteResult
from connectors.errors import (
    ConnectionTrouble,
    ConnectorError,
    MappingError,
    RecordError,
    RecordGone,
    Rejected,
    ServerTrouble,
    StaleVersion,
    not_sent,
)
from connectors.google.client import GoogleClient, Part, read_part
from connectors.google.codec import (
    READ_FIELDS,
    READ_MASK,
    Person,
    category_names,
    changed_lists,
    foreign_id,
    groups,
    is_id,
    is_sound,
    memberships,
    new_person,
    read_contact,
    update_body,
    version,
    with_foreign_id,
)
from connectors.google.labels import LabelBook
from connectors.google.persons import Persons
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.google.slots import Entry
from connectors.http import Answer, unreadable
from connectors.mailboxes import CATEGORIES, CONTACT, FOLDER_GONE, told_of_records

BATCH_CREATE, BATCH_UPDATE, BATCH_DELETE = "/people:batchCreateContacts", "/people:batchUpdateContacts", "/people:batchDeleteContacts"
REFUSALS_OF_ALL = 3  # contacts refused one by one, by the call and not by name, while none went through: the call is at fault

Outcome = Record | ConnectorError


@dataclass(frozen=True, slots=True)
class Row:
    """One write on its way: where it stands among its fellows, the person it rests on, and the lists it sends."""

    at: int
    write: Write
    person: Person = field(default_factory=dict, repr=False)
    lists: Mapping[str, list[Entry]] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> str:
        return self.write.ref.id if self.write.ref is not None else ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one row in one call."""

    row: Row
    outcome: Outcome
    exchange: Exchange | None = field(repr=False)


Send = Callable[[list[Row]], list[Sent]]


@dataclass(slots=True)
class Writer:
    """Writes of one mailbox."""

    client: GoogleClient
    persons: Persons
    labels: LabelBook
    settings: GoogleSettings
    _folder_error: RecordGone | None = None
    _has_looked: bool = False  # for the folder, during this call of `write`

    def write(self, writes: Sequence[Write]) -> list[WriteResult]:
        """Returns a result for each write, in order. Raises when one trouble met them all, or when our folder is gone."""
        settled: dict[int, WriteResult] = {}
        self._folder_error, self._has_looked = None, False
        rows = self._checked(writes, settled)
        kinds: list[tuple[list[Row], Callable[[list[Row], dict[int, WriteResult]], None]]] = [
            ([row for row in rows if row.write.is_delete], self._deletes),
            ([row for row in rows if row.write.ref is not None and not row.write.is_delete], self._updates),
            ([row for row in rows if row.write.ref is None], self._creates),
        ]
        trouble: ConnectorError | None = None
        for some, carry_out in kinds:
            if not some:
                continue
            if trouble is None:
                try:
                    carry_out(some, settled)
                except (ConnectionTrouble, RecordGone) as found:  # RecordGone: of our folder
                    trouble = found
                    settled |= {row.at: _failed(row, found) for row in some if row.at not in settled}
            else:
                settled |= _unsent(some, trouble)
        results = [settled[at] for at in range(len(writes))]
        if trouble is not None and all(result.error is trouble for result in results):
            raise trouble
        return told_of_records(results) if trouble is None else results

    def _checked(self, writes: Sequence[Write], settled: dict[int, WriteResult]) -> list[Row]:
        rows, seen = [], set()
        for at, write in enumerate(writes):
            row = Row(at, write)
            if write.ref is not None and not is_id(write.ref.id):
                settled[at] = _failed(row, Rejected(f"{write.ref.id[:40]!r} names no contact", system=SYSTEM))
            elif row.id and row.id in seen:  # a call names a contact once
                settled[at] = _failed(row, StaleVersion("another change of the contact goes first", system=SYSTEM))
            else:
                seen.add(row.id)
                rows.append(row)
        return rows

    # --- one kind of writes -------------------------------------------------------------------------------------------

    def _deletes(self, rows: list[Row], settled: dict[int, WriteResult]) -> None:
        """Deletes the contacts that are as they were. The call itself knows no condition, so they are read right before."""
        found = self.persons.read(row.id for row in rows)
        sound = self._at_their_version(rows, found, settled)
        self._carry_out(sound, self.settings.delete_size, self._delete, settled)

    def _updates(self, rows: list[Row], settled: dict[int, WriteResult]) -> None:
        known = {row.id: person for row in rows if (person := self.persons.at_version(row.id, row.write.version)) is not None}
        known |= self.persons.read(row.id for row in rows if row.id not in known)
        sound = self._at_their_version(rows, known, settled)
        ready = self._built(sound, settled)
        stale: list[Row] = []
        self._carry_out(ready, self.settings.write_size, self._update, settled, stale)
        if stale:
            self._once_more(stale, settled)

    def _creates(self, rows: list[Row], settled: dict[int, WriteResult]) -> None:
        self.labels.require()
        ready = self._built(rows, settled)
        # Answers are matched by marker: without one, or with the same as another, a create goes alone.
        alone = [row for row in ready if not row.write.marker or sum(r.write.marker == row.write.marker for r in ready) > 1]
        together = [row for row in ready if row not in alone]
        self._carry_out(together, self.settings.write_size, self._create, settled)
        self._carry_out(alone, 1, self._create, settled)

    def _at_their_version(self, rows: list[Row], found: Mapping[str, Person], settled: dict[int, WriteResult]) -> list[Row]:
        """Returns the rows whose contact is as the write supposes; the others are settled."""
        sound = []
        for row in rows:
            person = found.get(row.id)
            if person is None:
                settled[row.at] = _failed(row, RecordGone("the contact is not there any more", system=SYSTEM, status=404))
            elif row.write.version and version(person) != row.write.version:
                settled[row.at] = _failed(row, StaleVersion("the contact was changed meanwhile", system=SYSTEM))
            else:
                sound.append(replace(row, person=person))
        return sound

    def _built(self, rows: list[Row], settled: dict[int, WriteResult]) -> list[Row]:
        """Returns the rows with what they send; what cannot be sent is settled here."""
        ready = []
        for row in rows:
            try:
                names = [*category_names(row.write.fields), *([self.labels.category_name] if row.write.ref is None else [])]
                if names or CATEGORIES in row.write.fields:
                    self.labels.ensure(groups(row.person))
                    self.labels.ensure_named(names)
                lists = self._lists(row)
                if lists or row.write.ref is None:
                    ready.append(replace(row, lists=lists))
                else:  # nothing to say
                    settled[row.at] = WriteResult(row.write.key, record=self._record(row.person, row.id))
            except (RecordError, MappingError) as error:
                settled[row.at] = _failed(row, error)
        return ready

    def _lists(self, row: Row) -> dict[str, Any]:
        view, key = self.labels.view, self.settings.client_data_key
        if row.write.ref is None:
            return new_person(row.write.fields, row.write.marker, view, key=key)
        return changed_lists(row.person, row.write.fields, view, key=key)

    def _once_more(self, rows: list[Row], settled: dict[int, WriteResult]) -> None:
        """Sends again, once, what was refused for its version although nobody changed the contact: what was read a moment
        ago is not known everywhere yet (reference 4.3). More would be a loop."""
        self.client.wait_for_version()
        found = self.persons.read(row.id for row in rows)
        sound = self._at_their_version(rows, found, settled)
        self._carry_out(self._built(sound, settled), self.settings.write_size, self._update, settled)

    def bring_in(self, id_: str, marker: str) -> Record:
        """Puts a contact into our folder, with our category and the marker, in one update that stands or falls as a whole."""
        self._folder_error, self._has_looked = None, False
        self.labels.require()
        self.labels.ensure_named([self.labels.category_name])
        if not is_id(id_):
            raise Rejected(f"{id_[:40]!r} names no contact", system=SYSTEM)
        write = Write(CONTACT, {}, key=id_, ref=Ref(SYSTEM, CONTACT, id_))
        outcome: Outcome | None = None
        for attempt in (1, 2):
            person = self.persons.read([id_]).get(id_)
            if person is None:
                raise RecordGone("the contact is not there any more", system=SYSTEM, status=404)
            lists = self._brought(person, marker)
            if not lists:
                return self._record(person, id_)
            outcome = self._outcome(Row(0, write, person, lists))
            if isinstance(outcome, Record):
                return outcome
            if not isinstance(outcome, StaleVersion):
                break
            if attempt == 1:
                self.client.wait_for_version()
        assert isinstance(outcome, ConnectorError)
        raise outcome

    def _brought(self, person: Person, marker: str) -> dict[str, list[Entry]]:
        """Returns what a contact from outside lacks; nothing where it was brought in already."""
        view, key, carried = self.labels.view, self.settings.client_data_key, groups(person)
        wanted = list(dict.fromkeys([*carried, *(group for group in (view.folder, view.category) if group)]))
        lists = {"memberships": memberships(wanted)} if wanted != carried else {}
        return lists | ({"clientData": with_foreign_id(person, marker, key)} if foreign_id(person, key) != marker else {})

    def _outcome(self, row: Row) -> Outcome:
        try:
            return self._update([row])[0].outcome
        except StaleVersion as stale:
            return stale

    # --- one call: whole refusals in halves ---------------------------------------------------------------------------

    def _carry_out(self, rows: list[Row], size: int, send: Send, settled: dict[int, WriteResult], stale: list[Row] | None = None) -> None:
        """Settles the rows; those whose version is refused are put into `stale`, where there is such a list. Raises the trouble
        that ended it early, after settling every row."""
        waiting = [rows[start : start + size] for start in range(0, len(rows), size)][::-1]
        refused, went_through = 0, False
        while waiting:
            part = waiting.pop()
            try:
                sent = send(part)
            except RecordError as refusal:
                if refusal.code == FOLDER_GONE:
                    settled |= {row.at: _failed(row, refusal) for rows in [part, *waiting] for row in rows}
                    raise
                if len(part) > 1:
                    middle = len(part) // 2
                    waiting += [part[middle:], part[:middle]]
                    continue
                sent = [Sent(part[0], refusal, refusal.exchange)]
                refused += isinstance(refusal, Rejected)
                if refused >= REFUSALS_OF_ALL and not went_through and waiting:
                    error = ServerTrouble(f"refuses every change ({refusal.detail})", system=SYSTEM, status=refusal.status)
                    settled |= {row.at: _failed(row, error) for rows in [part, *waiting] for row in rows}
                    raise error from refusal
            except ConnectionTrouble as trouble:
                settled |= {row.at: _failed(row, trouble) for row in part}
                settled |= _unsent((row for rows in waiting for row in rows), trouble)
                raise
            for one in sent:
                went_through = went_through or isinstance(one.outcome, Record)
                if stale is not None and isinstance(one.outcome, StaleVersion):
                    stale.append(one.row)
                settled[one.row.at] = _result(one)

    def _create(self, rows: list[Row]) -> list[Sent]:
        body = {"contacts": [{"contactPerson": dict(row.lists)} for row in rows], "readMask": READ_MASK}
        answer = self._post(BATCH_CREATE, body, is_in_folder=True)
        parts = _parts(answer.data.get("createdPeople"), len(rows), answer)
        key = self.settings.client_data_key
        made = [part for part in parts if part.person is not None]
        faults = [part for part in parts if part.fault is not None]
        by_marker = {foreign_id(part.person, key): part for part in made}
        if len(rows) == 1 and made:
            by_marker = {rows[0].write.marker: made[0]}
        sent, unmatched = [], []
        for row in rows:
            part = by_marker.get(row.write.marker)
            if part is None:
                unmatched.append(row)
            else:
                sent.append(Sent(row, self._kept(part, part.person["resourceName"]), answer.exchange))
        return sent + self._not_made(unmatched, faults, answer)

    def _not_made(self, rows: list[Row], faults: list[Part], answer: Answer) -> list[Sent]:
        """Returns the outcomes of creates without a person in the answer. There must be a refusal for each of them; which is
        whose, the order says, and nothing hangs on it: none of them was made. Else they are in doubt."""
        if len(rows) != len(faults):
            return [Sent(row, unreadable(SYSTEM, answer, is_read=False), answer.exchange) for row in rows]
        self._look_for_folder(faults)
        pairs = zip(rows, faults, strict=True)
        return [Sent(row, self._refused(part, answer), answer.exchange) for row, part in pairs]

    def _update(self, rows: list[Row]) -> list[Sent]:
        mask = [name for name in READ_FIELDS if any(name in row.lists for row in rows)]
        body = {
            "contacts": {row.id: update_body(row.person, row.lists, mask) for row in rows},
            "updateMask": ",".join(mask),
            "readMask": READ_MASK,
        }
        answer = self._post(BATCH_UPDATE, body, is_in_folder="memberships" in mask)
        raw = answer.data.get("updateResult")
        by_id: dict[str, Part | None] = {}
        for name, said in raw.items() if isinstance(raw, dict) else ():
            part = read_part(said, is_sound)
            by_id[name] = part
            if part is not None:
                by_id.setdefault(part.asked, part)
        if "memberships" in mask:
            self._look_for_folder([part for part in by_id.values() if part is not None and part.fault is not None])
        return [Sent(row, self._updated(row, by_id.get(row.id), answer), answer.exchange) for row in rows]

    def _updated(self, row: Row, part: Part | None, answer: Answer) -> Outcome:
        if part is None:
            return unreadable(SYSTEM, answer, is_read=False)
        return self._kept(part, row.id) if part.fault is None else self._refused(part, answer)

    def _delete(self, rows: list[Row]) -> list[Sent]:
        answer = self._post(BATCH_DELETE, {"resourceNames": [row.id for row in rows]})
        for row in rows:
            self.persons.forget(row.id)
        return [Sent(row, Record(_ref(row.write), {}, is_deleted=True), answer.exchange) for row in rows]

    def _post(self, path: str, body: Any, *, is_in_folder: bool = False) -> Answer:
        """Returns the answer. A refusal of a call that names our folder may be for want of the folder: then that is said, and
        nothing of the contacts."""
        try:
            return self.client.post(path, body)
        except StaleVersion:
            raise
        except RecordError as refusal:
            if is_in_folder and self._is_folder_gone():
                raise self._folder_error or refusal from refusal
            raise

    def _look_for_folder(self, faults: list[Part]) -> None:
        if any(part.fault is not None and part.fault.status in (400, 404) and not part.fault.is_stale for part in faults):
            self._is_folder_gone()

    def _is_folder_gone(self) -> bool:
        """Tells whether our folder is not there; looked for once in a call of `write`, after a refusal."""
        if not self._has_looked:
            self._has_looked = True
            try:
                self.labels.verify()
            except RecordGone as gone:
                self._folder_error = gone
        return self._folder_error is not None

    def _refused(self, part: Part, answer: Answer) -> ConnectorError:
        assert part.fault is not None
        if self._folder_error is not None and not part.fault.is_stale:
            return self._folder_error
        return self.client.error_of_part(part.fault, answer, is_read=False)

    def _kept(self, part: Part, id_: str) -> Record:
        """Returns the contact as the answer has it, after remembering it: two writes in a row rest on each other."""
        self.persons.remember(id_, part.person)
        return self._record(part.person, id_)

    def _record(self, person: Person, id_: str) -> Record:
        return read_contact(person, self.labels.view, key=self.settings.client_data_key, id_=id_)


def _parts(raw: Any, most: int, answer: Answer) -> list[Part]:
    """Returns the parts of an answer to creates. Raises, in doubt, when one of them cannot be read."""
    parts = [read_part(row, is_sound) for row in raw] if isinstance(raw, list) else []
    found = [part for part in parts if part is not None]
    if len(found) != len(parts) or len(found) > most:
        raise unreadable(SYSTEM, answer, is_read=False)
    return found


def _ref(write: Write) -> Ref:
    assert write.ref is not None
    return write.ref


def _result(sent: Sent) -> WriteResult:
    key = sent.row.write.key
    if isinstance(sent.outcome, Record):
        return WriteResult(key, record=sent.outcome, exchange=sent.exchange)
    return WriteResult(key, error=sent.outcome, exchange=sent.outcome.exchange or sent.exchange)


def _failed(row: Row, error: ConnectorError) -> WriteResult:
    return WriteResult(row.write.key, error=error, exchange=error.exchange)


def _unsent(rows: Iterable[Row], trouble: ConnectorError) -> dict[int, WriteResult]:
    """Returns the results of rows that were not sent after the trouble: certainly not done."""
    error = not_sent(trouble)
    return {row.at: WriteResult(row.write.key, error=error) for row in rows}
