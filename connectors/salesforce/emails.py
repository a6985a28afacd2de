"""E-mails of Salesforce: made as drafts, with whom they are related to and their files, and closed; found by their Message-ID.

An e-mail cannot be changed once it is no draft, so that relations and files come before its last status (reference 13.9). Where
nothing but ids has to be known for that, all of it goes in one composite call. A draft that a crash left behind is given what it
lacks, and closed; nothing is made twice. What an e-mail says is kept in no exchange.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from connectors.contract import Exchange, File, Op, Record, Ref, Test, Write, WriteResult
from connectors.errors import ConnectionTrouble, ConnectorError, MappingError, RecordError, Rejected, not_sent
from connectors.http import Answer, unreadable
from connectors.salesforce import query
from connectors.salesforce.client import Part, SalesforceClient
from connectors.salesforce.codec import SYSTEM, full_id, read_ref, write_body
from connectors.salesforce.faults import read_faults, record_error
from connectors.salesforce.settings import SalesforceSettings

EMAIL, RELATION, VERSION, LINK = "EmailMessage", "EmailMessageRelation", "ContentVersion", "ContentDocumentLink"
STATUS, MESSAGE_ID, TEXT, HTML = "Status", "MessageIdentifier", "TextBody", "HtmlBody"
PEOPLE = "People"  # a field of ours: whom the e-mail is related to, a text each (`related`)
LEFT_OUT = "LeftOut"  # a field of ours in an answer: what Salesforce did not take, a sentence each
FROM, TO, CC, BCC = "FromAddress", "ToAddress", "CcAddress", "BccAddress"  # RelationType, and fields of the e-mail
MOST_BYTES = 4_000_000  # of the texts in one call
ROWS_A_PART = 200
PARTS_OF_PEOPLE = 3  # a composite takes five collections: the e-mails, these, and their last status
MOST_SAID = 160  # characters of a refusal that is told of one relation or file
TEXT_NOT_KEPT = "(an e-mail, which is not kept here)"
_CLOSED, _THERE = "INSUFFICIENT_ACCESS_OR_READONLY", "DUPLICATE_VALUE"

Find = Callable[[str, Sequence[str]], list[Record]]  # records of EMAIL whose field holds one of these, deleted ones among them


def related(role: str, id_: str) -> str:
    """Returns how PEOPLE names a contact, lead or user in a role."""
    return f"{role};{id_}"


@dataclass(slots=True)
class Mail:
    """One e-mail on its way: what is sent, its id once it is there, and what Salesforce did not take of it."""

    at: int
    write: Write
    body: dict[str, Any] = field(repr=False)
    people: tuple[tuple[str, str], ...] = ()  # (role, id)
    id: str = ""
    may_hold_some: bool = False  # it was a draft already: relations and files may be there
    left_out: list[str] = field(default_factory=list)

    @property
    def is_whole_at_once(self) -> bool:
        """Whether it is made without being a draft first."""
        return not self.people and not self.write.files and not self.id

    @property
    def size(self) -> int:
        return sum(len(value) for value in self.body.values() if isinstance(value, str))


class EmailWriter:
    """Makes e-mails of one connection."""

    def __init__(self, client: SalesforceClient, settings: SalesforceSettings, find: Find) -> None:
        self._client, self._settings, self._find = client, settings, find
        self.has_key = True  # unless somebody found that e-mails have no field for it

    @property
    def _key_field(self) -> str:
        return self._settings.marker_field(EMAIL) if self.has_key else ""

    def write(self, writes: Sequence[Write]) -> list[WriteResult]:
        """Makes the e-mails, or finishes the drafts that `ref` names, and returns a result for each, in order. Raises when one
        trouble met them all. What was begun and not finished is in doubt: look for it before anything is sent again."""
        settled: dict[int, WriteResult] = {}
        trouble: ConnectionTrouble | None = None
        for batch in self._batches(self._mails(writes, settled)):
            if trouble is not None:
                settled |= {mail.at: WriteResult(mail.write.key, error=not_sent(trouble)) for mail in batch}
                continue
            trouble = self._carry_out(batch, settled)
        results = [_private(settled[at]) for at in range(len(writes))]
        if trouble is not None and all(isinstance(result.error, ConnectionTrouble) for result in results):
            raise next(r.error for r in results if r.error is not None)
        return results

    def _mails(self, writes: Sequence[Write], settled: dict[int, WriteResult]) -> list[Mail]:
        mails = []
        for at, write in enumerate(writes):
            try:
                mails.append(_mail(at, write))
            except ConnectorError as error:
                settled[at] = WriteResult(write.key, error=error)
        return mails

    def _batches(self, mails: Iterable[Mail]) -> Iterator[list[Mail]]:
        """Yields what goes in one call. One with files goes alone: they are large."""
        part: list[Mail] = []
        people = size = 0
        for mail in mails:
            is_full = len(part) >= self._settings.create_size or people + len(mail.people) > PARTS_OF_PEOPLE * ROWS_A_PART
            if part and (is_full or size + mail.size > MOST_BYTES or mail.write.files):
                yield part
                part, people, size = [], 0, 0
            part.append(mail)
            people, size = people + len(mail.people), size + mail.size
            if mail.write.files:
                yield part
                part, people, size = [], 0, 0
        if part:
            yield part

    def _carry_out(self, batch: list[Mail], settled: dict[int, WriteResult]) -> ConnectionTrouble | None:
        """Settles the e-mails of a batch. Returns the trouble that ended it early, None when there was none."""
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            try:
                self._make_all(part, settled)
            except Rejected as refusal:  # of the whole call: it names no row, so the rows go in parts
                rest = [mail for mail in part if mail.at not in settled]
                middle = len(rest) // 2
                if middle:
                    waiting += [rest[middle:], rest[:middle]]
                else:
                    settled |= {mail.at: WriteResult(mail.write.key, error=refusal) for mail in rest}
            except MappingError as error:
                settled |= {mail.at: WriteResult(mail.write.key, error=error) for mail in part if mail.at not in settled}
            except ConnectionTrouble as trouble:
                settled |= {mail.at: _stopped(mail, trouble) for mail in part if mail.at not in settled}
                settled |= {mail.at: WriteResult(mail.write.key, error=not_sent(trouble)) for rest in waiting for mail in rest}
                return trouble
        return None

    # --- making ---------------------------------------------------------------------------------------------------------

    def _make_all(self, mails: list[Mail], settled: dict[int, WriteResult]) -> None:
        new = [mail for mail in mails if not mail.id]
        if new:
            self._make(new, settled)
        open_ = [mail for mail in mails if mail.at not in settled]
        self._note_what_is_there(mail for mail in open_ if mail.may_hold_some)
        for mail in open_:
            self._add_files(mail)
        if open_:
            self._close(open_, settled)

    def _make(self, mails: list[Mail], settled: dict[int, WriteResult]) -> None:
        """Makes the e-mails; those that need nothing but relations are related and closed in the same call."""
        together = [mail for mail in mails if mail.people and not mail.write.files]
        parts = [self._creation(mails)]
        if together:
            named = {mail.at: f"@{{new[{place}].id}}" for place, mail in enumerate(mails)}
            parts += [*self._relations(together, named), self._closing(together, named)]
        answers, answer = self._client.composite(parts, is_read=False)
        lines = self._lines(answers[0], answer, len(mails))
        for mail, line in zip(mails, lines, strict=True):
            self._note_made(mail, line, answer, settled)
        if together:
            self._note_relations(together, answers[1:-1])
            self._note_closed(together, answers[-1], answer, settled)

    def _creation(self, mails: list[Mail]) -> dict[str, Any]:
        """Returns the part that makes e-mails: by their key where there is a field for it, so that a repeated one meets the first."""
        key = self._key_field
        has_key = bool(key) and all(mail.write.marker for mail in mails)
        records = []
        for mail in mails:
            status = {} if mail.is_whole_at_once else {STATUS: self._settings.email_draft_status}
            marked = {key: mail.write.marker} if has_key else {}
            records.append({"attributes": {"type": EMAIL}, **mail.body, **status, **marked})
        path = f"{self._client.root}/composite/sobjects{f'/{EMAIL}/{key}' if has_key else ''}"
        body = {"allOrNone": False, "records": records}
        return {"method": "PATCH" if has_key else "POST", "url": path, "referenceId": "new", "body": body}

    def _note_made(self, mail: Mail, line: Mapping[str, Any], answer: Answer, settled: dict[int, WriteResult]) -> None:
        ref = read_ref(line.get("id"), EMAIL)
        if line.get("success") is True and ref is not None:
            is_done = mail.is_whole_at_once
            mail.id, mail.may_hold_some = ref.id, line.get("created") is False
            if is_done:
                settled[mail.at] = _made(mail, answer.exchange)
            return
        if line.get("success") is True:
            settled[mail.at] = WriteResult(mail.write.key, error=unreadable(SYSTEM, answer, is_read=False))
            return
        faults = read_faults(line.get("errors"), EMAIL)
        found = self._by_key(mail) if any(fault.code == _CLOSED for fault in faults) else None
        if found is not None:  # it was made before, and is no draft any more
            mail.id = found.ref.id
            settled[mail.at] = _made(mail, answer.exchange)
            return
        settled[mail.at] = WriteResult(mail.write.key, error=self._refused(mail, line, answer))

    def _by_key(self, mail: Mail) -> Record | None:
        key = self._key_field
        found = self._find(key, [mail.write.marker]) if key and mail.write.marker else []
        return next((r for r in found if r.fields.get(key) == mail.write.marker), None)

    # --- relations, files, the last status ----------------------------------------------------------------------------------

    def _relations(self, mails: list[Mail], ids: Mapping[int, str]) -> list[dict[str, Any]]:
        rows = [
            {"attributes": {"type": RELATION}, "EmailMessageId": ids[mail.at], "RelationType": role, "RelationId": id_}
            for mail in mails
            for role, id_ in mail.people
        ]
        bodies = [{"allOrNone": False, "records": rows[start : start + ROWS_A_PART]} for start in range(0, len(rows), ROWS_A_PART)]
        path = f"{self._client.root}/composite/sobjects"
        return [{"method": "POST", "url": path, "referenceId": f"people{n}", "body": body} for n, body in enumerate(bodies)]

    def _closing(self, mails: list[Mail], ids: Mapping[int, str]) -> dict[str, Any]:
        rows = [{"attributes": {"type": EMAIL}, "id": ids[mail.at], STATUS: mail.body[STATUS]} for mail in mails]
        path = f"{self._client.root}/composite/sobjects"
        return {"method": "PATCH", "url": path, "referenceId": "closed", "body": {"allOrNone": False, "records": rows}}

    def _note_relations(self, mails: list[Mail], answers: Sequence[Part]) -> None:
        """Notes which relations were made; what was refused is said, and the e-mail is saved without. Parts that were not carried
        out, since another row of theirs could not be, are left to a second call."""
        every = [(mail, relation) for mail in mails for relation in mail.people]
        for n, part in enumerate(answers):
            some = every[n * ROWS_A_PART : (n + 1) * ROWS_A_PART]
            lines = part.body if part.status == 200 and isinstance(part.body, list) and len(part.body) == len(some) else []
            for (mail, relation), line in zip(some, lines, strict=False):
                mail.people = tuple(each for each in mail.people if each != relation)
                code, said = _refusal(line)
                if code not in ("", _THERE):
                    mail.left_out.append(f"{relation[1]} is not related to it: {said}")

    def _note_closed(self, mails: list[Mail], part: Part, answer: Answer, settled: dict[int, WriteResult]) -> None:
        """Settles what was closed in the call that made it; the rest is left to a second call, which says why not."""
        lines = part.body if part.status == 200 and isinstance(part.body, list) and len(part.body) == len(mails) else []
        for mail, line in zip(mails, lines, strict=False):
            if mail.at not in settled and mail.id and isinstance(line, Mapping) and line.get("success") is True:
                settled[mail.at] = _made(mail, answer.exchange)

    def _note_what_is_there(self, mails: Iterable[Mail]) -> None:
        """Leaves out of drafts what they hold already: another run came as far as that."""
        drafts = {mail.id: mail for mail in mails}
        if not drafts:
            return
        among = tuple(drafts)
        for row in self._rows_of(RELATION, ["EmailMessageId", "RelationId", "RelationType"], Test("EmailMessageId", Op.IN, among)):
            mail = drafts[str(read_ref(row["EmailMessageId"], EMAIL).id)]  # type: ignore[union-attr]  # it was asked for
            held = read_ref(row.get("RelationId"), RELATION)
            mail.people = tuple(p for p in mail.people if held is None or p != (row.get("RelationType"), held.id))
        if not any(mail.write.files for mail in drafts.values()):
            return
        columns = ["LinkedEntityId", "ContentDocument.Title", "ContentDocument.ContentSize"]
        for row in self._rows_of(LINK, columns, Test("LinkedEntityId", Op.IN, among)):
            mail = drafts[str(read_ref(row["LinkedEntityId"], EMAIL).id)]  # type: ignore[union-attr]
            document = row.get("ContentDocument") or {}
            there = (document.get("Title"), document.get("ContentSize"))
            mail.write = replace(mail.write, files=tuple(f for f in mail.write.files if (_title(f), len(f.data)) != there))

    def _rows_of(self, object_type: str, columns: list[str], condition: Test) -> Iterator[Mapping[str, Any]]:
        rows = self._client.query(query.select(object_type, columns, condition))
        while True:
            yield from (row for row in rows.rows if isinstance(row, Mapping))
            if not rows.following:
                return
            rows = self._client.follow(rows.following)

    def _add_files(self, mail: Mail) -> None:
        """Makes the files of a draft. One that Salesforce does not take is said, and the e-mail is saved without."""
        for file in mail.write.files:
            body = {"Title": _title(file), "PathOnClient": file.name[-500:], "FirstPublishLocationId": mail.id}
            body["VersionData"] = base64.b64encode(file.data).decode("ascii")
            try:
                self._client.create(VERSION, body)
            except RecordError as refusal:
                mail.left_out.append(f"“{file.name[:80]}” was not taken: {refusal.detail[:MOST_SAID]}")

    def _close(self, mails: list[Mail], settled: dict[int, WriteResult]) -> None:
        """Relates the drafts to whom they still lack, and gives them their last status."""
        ids = {mail.at: mail.id for mail in mails}
        parts = [*self._relations(mails, ids), self._closing(mails, ids)]
        answers, answer = self._client.composite(parts, is_read=False)
        self._note_relations(mails, answers[:-1])
        lines = self._lines(answers[-1], answer, len(mails))
        for mail, line in zip(mails, lines, strict=True):
            if line.get("success") is True:
                settled[mail.at] = _made(mail, answer.exchange)
            else:
                settled[mail.at] = WriteResult(mail.write.key, error=self._not_closed(mail, line, answer))

    def _not_closed(self, mail: Mail, line: Mapping[str, Any], answer: Answer) -> ConnectorError:
        """Returns why a draft could not be closed, and takes it away again: half an e-mail is none. If that fails it is found as a
        draft, and finished, by whoever tries again."""
        error = self._refused(mail, line, answer)
        path = f"/composite/sobjects?ids={quote(mail.id, safe='')}&allOrNone=false"
        self._client.collection("DELETE", path, "/composite/sobjects", count=1)
        return error

    def _lines(self, part: Part, answer: Answer, count: int) -> list[Mapping[str, Any]]:
        if part.status != 200:
            raise self._client.error_of_part(part, answer)
        is_sound = isinstance(part.body, list) and len(part.body) == count and all(isinstance(x, Mapping) for x in part.body)
        if not is_sound:
            raise unreadable(SYSTEM, answer, is_read=False)
        return list(part.body)

    def _refused(self, mail: Mail, line: Mapping[str, Any], answer: Answer) -> ConnectorError:
        faults = read_faults(line.get("errors"), EMAIL)
        if not faults:
            return unreadable(SYSTEM, answer, is_read=False)
        error = record_error(
            faults,
            mail.write,
            status=200,
            is_there=None,
            required=frozenset(),
            settings=self._settings,
            redact=answer.redact,
            exchange=answer.exchange,
        )
        return self._client.judged(error)


def _mail(at: int, write: Write) -> Mail:
    """Returns what is sent of a write. Raises Rejected for what cannot be sent."""
    fields = {name: value for name, value in write.fields.items() if name != PEOPLE}
    named = write.fields.get(PEOPLE)
    people = [tuple(text.split(";", 1)) for text in (named if isinstance(named, tuple) else ())]
    id_ = full_id(write.ref.id) if write.ref is not None else ""
    if id_ is None:
        raise Rejected("is told of a draft that can be none", system=SYSTEM)
    sound = tuple((role, whole) for role, text in people if (whole := full_id(text)) is not None)
    return Mail(at, write, write_body(fields), tuple(dict.fromkeys(sound)), id_, may_hold_some=bool(id_))


def _title(file: File) -> str:
    """Returns what a file is called there: without what says its type, as Salesforce itself calls an upload."""
    stem, dot, ending = file.name.rpartition(".")
    return (stem if dot and stem and len(ending) <= 10 else file.name)[:255] or "File"


def _refusal(line: Any) -> tuple[str, str]:
    """Returns code and words of a line that was refused, ("", "") for one that was not."""
    faults = read_faults(line.get("errors")) if isinstance(line, Mapping) and line.get("success") is not True else []
    return (faults[0].code, (faults[0].message or faults[0].code)[:MOST_SAID]) if faults else ("", "")


def _made(mail: Mail, exchange: Exchange | None) -> WriteResult:
    said = {LEFT_OUT: tuple(mail.left_out)} if mail.left_out else {}
    return WriteResult(mail.write.key, record=Record(Ref(SYSTEM, EMAIL, mail.id), said), exchange=exchange)


def _stopped(mail: Mail, trouble: ConnectionTrouble) -> WriteResult:
    """Returns the result of an e-mail that a trouble met: one that is there as a draft is in doubt, whatever the trouble was."""
    error = trouble
    if mail.id and not trouble.may_have_happened:
        error = not_sent(trouble)
        error.may_have_happened = True
    return WriteResult(mail.write.key, error=error, exchange=trouble.exchange)


def _private(result: WriteResult) -> WriteResult:
    """Returns the result without what the e-mail says."""
    if isinstance(result.error, ConnectorError) and result.error.exchange is not None:
        result.error.exchange = _without_text(result.error.exchange)
    return replace(result, exchange=_without_text(result.exchange)) if result.exchange is not None else result


def _without_text(exchange: Exchange) -> Exchange:
    return replace(exchange, request_body=TEXT_NOT_KEPT)
