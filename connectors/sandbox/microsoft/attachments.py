"""What is attached to messages: lists, single files with their content, raw contents."""

from __future__ import annotations

import base64
from typing import Any

from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.mail_store import MailStore
from connectors.sandbox.microsoft.message_schema import read_attachment
from connectors.sandbox.microsoft.query import page, read_select
from connectors.sandbox.microsoft.refusal import no_segment
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row

PROPERTIES = ("id", "lastModifiedDateTime", "name", "contentType", "size", "isInline", "contentId", "contentLocation", "contentBytes")
READ, WRITE = ("Mail.Read", "Mail.ReadWrite"), ("Mail.ReadWrite",)
_ODATA_TYPE = "#microsoft.graph.fileAttachment"


class Attachments:
    """What `…/messages/{id}/attachments/…` answers. Attached items and links are not played."""

    def __init__(self, store: Store, mail: MailStore) -> None:
        self._store, self._mail = store, mail

    def answer(self, call: Call, message: Row, rest: list[str]) -> Answer:
        call.need(*(READ if call.reads else WRITE))
        if not rest:
            call.allow("GET", "POST")
            return self._list(call, message) if call.reads else self._create(call, message)
        row = self._mail.find_attachment(message, rest[0])
        if rest[1:] == ["$value"]:
            call.allow("GET")
            return Answer(200, base64.b64decode(row["content"]), content_type=row["contentType"])
        if rest[1:]:
            raise no_segment(rest[1])
        call.allow("GET", "DELETE")
        if call.method == "DELETE":
            self._mail.detach(message, row)
            return Answer(204)
        return self._one(call, 200, row)

    def _list(self, call: Call, message: Row) -> Answer:
        select = self._select(call)
        rows = self._mail.attachments(message)
        size = self._store.switches.page_size
        return page(call, rows, lambda row: self.shown(row, select), context="messages/attachments", size=size)

    def _create(self, call: Call, message: Row) -> Answer:
        return self._one(call, 201, self._mail.attach(message, read_attachment(call.object())))

    def _one(self, call: Call, status: int, row: Row) -> Answer:
        context = {"@odata.context": f"{call.root}/$metadata#messages/attachments/$entity"}
        return Answer(status, {**context, **self.shown(row, self._select(call))})

    def _select(self, call: Call) -> tuple[str, ...] | None:
        return read_select(call.parameters.get("$select"), PROPERTIES, "attachment")

    def shown(self, row: Row, select: tuple[str, ...] | None) -> dict[str, Any]:
        """Returns a file as an answer holds it; its type comes along with any choice of properties."""
        own = {
            "id": self._mail.attachment_id(row),
            "lastModifiedDateTime": row["modified"],
            **{name: row[name] for name in ("name", "contentType", "isInline", "contentId")},
            "size": len(row["content"]) * 3 // 4 - row["content"][-2:].count("="),
            "contentLocation": None,
            "contentBytes": row["content"],
        }
        chosen = {name: value for name, value in own.items() if select is None or name == "id" or name in select}
        return {"@odata.type": _ODATA_TYPE, "@odata.mediaContentType": row["contentType"], **chosen}
