"""Reads messages of one mailbox by id, many a call: with their texts, and without.

One message must not stop the others: what Exchange cannot show, and what is no message, is told by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from connectors.contract import Record
from connectors.errors import TOO_MUCH, ConnectorError, NeedsAttention, OutcomeUnknown, RateLimited, RecordGone, Unreachable
from connectors.mail_rows import CannotBeRead, FoundMails
from connectors.mails import BY_NOTHING, HAS_ATTACHMENTS, Attachment, WholeMail, WholeMails
from connectors.microsoft import faults
from connectors.microsoft import mail_codec as codec
from connectors.microsoft.client import GraphClient, Part, Reply, address, segment
from connectors.microsoft.codec import id_of
from connectors.microsoft.mail_places import MailPlaces
from connectors.microsoft.settings import PARTS_A_CALL, SYSTEM

MESSAGE_TEMPLATE = "/users/{user}/messages/{message}"
LIST_TEMPLATE = "/users/{user}/messages"
ATTACHMENTS_TEMPLATE = "/users/{user}/messages/{message}/attachments"
ATTACHMENT_SELECT = "id,name,contentType,size,isInline"
MOST_REMEMBERED = 5000  # messages of which is known whether anything is attached
SELECT = ",".join(codec.PROPERTIES)
WHOLE = ",".join((*codec.PROPERTIES, *codec.TEXT_PROPERTIES))

Said = Reply | ConnectorError


class MailReader:
    """The reads of one mailbox."""

    def __init__(self, client: GraphClient, places: MailPlaces, mailbox: str) -> None:
        self._client, self._places, self._mailbox = client, places, mailbox
        self._has_files: dict[str, bool] = {}  # of messages that were told of: whether anything is attached

    # --- by id ------------------------------------------------------------------------------------------------------------
    def read(self, ids: Sequence[str]) -> WholeMails:
        found = self.rows(ids)
        records = {id_: self.record(row, found) for id_, row in found.rows.items()}
        whole = [WholeMail(record) for record in records.values() if record is not None]
        return found.whole(whole)

    def rows(self, ids: Iterable[str], select: str = SELECT) -> FoundMails:
        """Returns the messages with these ids as Microsoft tells them, all that a record holds or what `select` names."""
        asked = list(dict.fromkeys(ids))
        first = self._places.parts() if asked and select == SELECT else []
        said = self._said([*(self._message(id_, select) for id_ in asked), *first])
        self._places.learn([reply for reply in said[len(asked) :] if isinstance(reply, Reply)])
        found = FoundMails(SYSTEM)
        for id_, reply in zip(asked, said, strict=False):
            self._sort(found, id_, reply)
        return found

    def whole(self, ids: Sequence[str], *, with_attachments: bool) -> WholeMails:
        """Returns messages with their texts. What is attached comes in the same calls where a list told that anything is."""
        asked = list(dict.fromkeys(ids))
        listed = [id_ for id_ in asked if with_attachments and self._has_files.get(id_)]
        first = self._places.parts() if asked else []
        said = self._said([*(self._message(id_, WHOLE) for id_ in asked), *map(self._attachments, listed), *first])
        files = dict(zip(listed, said[len(asked) :], strict=False))
        self._places.learn([reply for reply in said[len(asked) + len(listed) :] if isinstance(reply, Reply)])
        found = FoundMails(SYSTEM)
        for id_, reply in zip(asked, said, strict=False):
            self._sort(found, id_, reply)
        records = {id_: record for id_, row in list(found.rows.items()) if (record := self.record(row, found)) is not None}
        late = [id_ for id_, r in records.items() if with_attachments and id_ not in files and r.fields[HAS_ATTACHMENTS] is True]
        files |= dict(zip(late, self._said([self._attachments(id_) for id_ in late]), strict=True))
        whole = [self._whole(found, found.rows[id_], record, files.get(id_)) for id_, record in records.items()]
        return found.whole(w for w in whole if w is not None)

    def record(self, row: codec.Row, found: FoundMails, shared_by: str = BY_NOTHING) -> Record | None:
        """Returns the record of a message, None where it cannot be read: that is noted then."""
        id_ = id_of(row)
        try:
            record = codec.read_mail(row, places=self._places.kinds, address=self._mailbox, shared_by=shared_by)
        except CannotBeRead as refusal:
            found.refuse_part(id_, refusal)
            return None
        if len(self._has_files) >= MOST_REMEMBERED:  # of a mailbox that is read from its beginning
            self._has_files.clear()
        self._has_files[id_] = record.fields[HAS_ATTACHMENTS] is True
        return record

    def _whole(self, found: FoundMails, row: codec.Row, record: Record, files: Said | None) -> WholeMail | None:
        try:
            return codec.read_whole(row, record, self._files(files) if files is not None else ())
        except CannotBeRead as refusal:
            found.refuse_part(record.ref.id, refusal)
        except RecordGone:  # it went between the two reads
            found.gone.append(record.ref.id)
        except (NeedsAttention, RateLimited, Unreachable):  # none of its own
            raise
        except ConnectorError as refusal:
            found.refuse(record.ref.id, f"{refusal.sentence} (its attachments)")
        return None

    def _files(self, said: Said) -> tuple[Attachment, ...]:
        if isinstance(said, ConnectorError):
            raise said
        if not said.is_good:
            raise self.gone_or_error(said)
        body = said.body if isinstance(said.body, dict) else {}
        rows, link = body.get("value"), body.get("@odata.nextLink")
        if not isinstance(rows, list):
            raise CannotBeRead("its attachments")
        more = self._client.every(self._client.local(link), template=ATTACHMENTS_TEMPLATE) if isinstance(link, str) else []
        return tuple(codec.read_attachment(row) for row in [*rows, *more])

    def _message(self, id_: str, select: str) -> Part:
        return Part("GET", address(f"{self._client.root}/messages/{segment(id_)}", select=select, expand=codec.EXPAND), MESSAGE_TEMPLATE)

    def _attachments(self, id_: str) -> Part:
        path = address(f"{self._client.root}/messages/{segment(id_)}/attachments", select=ATTACHMENT_SELECT, top="1000")
        return Part("GET", path, ATTACHMENTS_TEMPLATE)

    # --- by what they say ---------------------------------------------------------------------------------------------------
    def search(self, filters: Sequence[str], *, top: int, order: str = "") -> list[Record]:
        """Returns the messages that meet one of these filters, at most `top` of each. Those that cannot be read are left out:
        nobody asked for them by id."""
        options = {"select": SELECT, "expand": codec.EXPAND, "top": str(top), "orderby": order}
        parts = [Part("GET", address(f"{self._client.root}/messages", filter=one, **options), LIST_TEMPLATE) for one in filters]
        first = self._places.parts() if parts else []
        said = self._said([*parts, *first])
        self._places.learn([reply for reply in said[len(parts) :] if isinstance(reply, Reply)])
        found = FoundMails(SYSTEM)
        records = [self.record(row, found) for reply in said[: len(parts)] for row in self._listed(reply)]
        return [record for record in records if record is not None]

    def _listed(self, said: Said) -> list[dict[str, Any]]:
        if isinstance(said, ConnectorError):
            raise said
        if not said.is_good:
            raise self._client.error_of(said, is_read=True)
        rows = said.body.get("value") if isinstance(said.body, dict) else None
        if not isinstance(rows, list) or not all(id_of(row) for row in rows):
            raise self._client.unreadable(said, is_read=True)
        return rows

    # --- what single answers mean ---------------------------------------------------------------------------------------------
    def _sort(self, found: FoundMails, id_: str, said: Said) -> None:
        if isinstance(said, Reply) and said.is_good:
            if id_of(said.body) == id_:
                found.rows[id_] = said.body
            else:
                found.refuse(id_, "Microsoft sent something else in its place")
            return
        found.sort(id_, said if isinstance(said, ConnectorError) else self.gone_or_error(said))

    def gone_or_error(self, reply: Reply) -> ConnectorError:
        """Returns what a refused read of one message means: an id that the mailbox takes for none is none of its messages."""
        error = self._client.error_of(reply, is_read=True)
        if error.code.casefold() == faults.MALFORMED_ID:
            return RecordGone("it is not there (any more)", system=error.system, code=error.code)
        return error

    def _said(self, parts: Sequence[Part]) -> list[Said]:
        """Returns what each read was answered, twenty a call. Where an answer is too large, it is asked for in halves."""
        said: list[Said] = []
        for start in range(0, len(parts), PARTS_A_CALL):
            said += self._said_at_once(parts[start : start + PARTS_A_CALL])
        return said

    def _said_at_once(self, parts: Sequence[Part]) -> list[Said]:
        try:
            replies = self._client.read_all(parts)
        except OutcomeUnknown as trouble:
            if trouble.code != TOO_MUCH:
                raise
            if len(parts) == 1:
                return [trouble]
            half = len(parts) // 2
            return [*self._said_at_once(parts[:half]), *self._said_at_once(parts[half:])]
        if all(_has_failed(reply) for reply in replies):
            self._look_whether_it_answers(replies[0])
        return [*replies]

    def _look_whether_it_answers(self, failed: Reply) -> None:
        """Raises the error of a call all of whose parts failed, unless the mailbox answers otherwise: then it is the messages."""
        probe = Part("GET", address(f"{self._client.root}/mailFolders/inbox", select="id"), "/users/{user}/mailFolders/{folder}")
        if not self._client.read_all([probe])[0].is_good:
            raise self._client.error_of(failed, is_read=True)


def _has_failed(reply: Reply) -> bool:
    return reply.status == 0 or (reply.status >= 500 and reply.wait is None)
