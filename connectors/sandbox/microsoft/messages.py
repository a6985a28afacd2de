"""Messages: lists, single ones, drafts, edits, moves, deletes. Their delta rounds stand in message_delta.py."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.microsoft import filters, message_text
from connectors.sandbox.microsoft.attachments import Attachments
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.mail_store import MailStore
from connectors.sandbox.microsoft.message_delta import MessageDelta
from connectors.sandbox.microsoft.message_schema import DEFAULTS, read_message
from connectors.sandbox.microsoft.message_view import SORTABLE, MessageView, applied, check_order
from connectors.sandbox.microsoft.query import View, ordered, page
from connectors.sandbox.microsoft.refusal import bad_request, no_item, no_segment
from connectors.sandbox.microsoft.sending import Sending
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row

READ, WRITE, SEND = ("Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"), ("Mail.ReadWrite",), ("Mail.Send",)
_LISTS_KEPT = 16


class Messages:
    """What `…/messages` answers below a mailbox or a folder, and `/sendMail`."""

    def __init__(
        self, store: Store, mail: MailStore, view: MessageView, *, attachments: Attachments, sending: Sending, delta: MessageDelta
    ) -> None:
        self._store, self._mail, self._view = store, mail, view
        self._attachments, self._sending, self._delta = attachments, sending, delta
        # The pages of a list are asked for one after the other: what it holds is not searched and ordered for each of them.
        self._lists: dict[tuple[Any, ...], list[Row]] = {}

    def answer(self, call: Call, mailbox: Row, folder: Row | None, rest: list[str]) -> Answer:
        """Answers a call to a folder's messages; `folder` None: to those of the whole mailbox."""
        if not rest:
            call.allow("GET", "POST")
            return self._list(call, mailbox, folder) if call.reads else self._create(call, mailbox, folder)
        if rest == ["delta"]:
            if folder is None:
                raise bad_request("Change tracking is not supported against 'microsoft.graph.message' of a whole mailbox.")
            call.need(*READ)
            call.allow("GET")
            return self._delta.answer(call, folder)
        row = self._mail.messages.find(mailbox, rest[0])
        if folder is not None and row["folder"] != folder["n"]:
            raise no_item()
        self.note(call, row)
        if len(rest) == 1:
            call.allow("GET", "PATCH", "DELETE")
            acts = {"PATCH": self._change, "DELETE": self._delete}
            return acts.get(call.method, self._show)(call, row)
        if rest[1] == "attachments":
            return self._attachments.answer(call, row, rest[2:])
        return self._act(call, mailbox, row, rest[1:])

    def note(self, call: Call, row: Row) -> None:
        """Tells the call log which message a call is about, by its immutable id."""
        folder = self._mail.folders[row["folder"]]["displayName"]
        call.note.items.append({"id": self._mail.messages.id_of(row, is_immutable=True), "folder": folder})

    def _act(self, call: Call, mailbox: Row, row: Row, rest: list[str]) -> Answer:
        """Answers what stands behind a message's id."""
        if rest == ["$value"]:
            call.allow("GET")
            call.need("Mail.Read", "Mail.ReadWrite")
            values = {**DEFAULTS, **row["values"]}
            return Answer(200, message_text.mime(values, self._mail.attachments(row)), content_type="text/plain")
        acts = {"move": self._move, "copy": self._copy, "send": self._send_draft, "permanentDelete": self._remove}
        if len(rest) > 1 or rest[0] not in acts:
            raise no_segment(rest[0] if rest[0] not in acts else rest[1])
        call.allow("POST")
        return acts[rest[0]](call, mailbox, row)

    # --- reading ----------------------------------------------------------------------------------------------------------
    def _list(self, call: Call, mailbox: Row, folder: Row | None) -> Answer:
        call.need(*READ)
        view, with_attachments = self._view.read(call)
        call.note.fields = view.fields
        where = "messages" if folder is None else "mailFolders/messages"

        def show(row: Row) -> dict[str, Any]:
            self.note(call, row)
            return self._view.shown(call, row, view, with_attachments=with_attachments)

        answer = page(call, self._searched(call, mailbox, folder), show, context=where, size=self._store.switches.page_size)
        answer.headers += applied(call)
        return answer

    def _searched(self, call: Call, mailbox: Row, folder: Row | None) -> list[Row]:
        """Returns what a list holds, the newest first unless another order is asked for."""
        text, orderby = call.parameters.get("$filter"), call.parameters.get("$orderby")
        key = (self._store.sequence, self._store.key, mailbox["n"], folder and folder["n"], text, orderby)
        if key not in self._lists:
            node = None if text is None else filters.parse(text)
            check_order(node, orderby)
            rows = self._mail.all_messages(mailbox["n"]) if folder is None else self._mail.messages.within(folder["n"])
            if node is not None:
                test = self._view.test(node)
                rows = [row for row in rows if test(row)]
            while len(self._lists) >= _LISTS_KEPT:
                del self._lists[next(iter(self._lists))]
            self._lists[key] = ordered(rows, orderby or "receivedDateTime desc", SORTABLE, self._view.value)
        return self._lists[key]

    def _show(self, call: Call, row: Row) -> Answer:
        call.need(*READ)
        view, with_attachments = self._view.read(call)
        call.note.fields = view.fields
        return self._one(call, 200, row, view, with_attachments=with_attachments)

    def _one(self, call: Call, status: int, row: Row, view: View, *, with_attachments: bool = False) -> Answer:
        shown = self._view.shown(call, row, view, with_attachments=with_attachments)
        return Answer(status, {"@odata.context": f"{call.root}/$metadata#messages/$entity", **shown}, applied(call))

    # --- writing ----------------------------------------------------------------------------------------------------------
    def _create(self, call: Call, mailbox: Row, folder: Row | None) -> Answer:
        call.need(*WRITE)
        body = read_message(call.object(), is_new=True, is_draft=True)
        call.note.fields = body.names
        row = self._sending.draft(mailbox, body, folder)
        self.note(call, row)
        return self._one(call, 201, row, View())

    def _change(self, call: Call, row: Row) -> Answer:
        call.need(*WRITE)
        body = read_message(call.object(), is_new=False, is_draft=bool(row["values"].get("isDraft")))
        call.note.fields = body.names
        self._mail.messages.check_key(call, row)
        extended = {name: text for name, text in {**row["extended"], **body.extended}.items() if text is not None}
        return self._one(call, 200, self._mail.messages.change(row, values={**row["values"], **body.values}, extended=extended), View())

    def _delete(self, call: Call, row: Row) -> Answer:
        call.need(*WRITE)
        self._mail.messages.check_key(call, row)
        self._mail.delete(row)
        return Answer(204)

    def _remove(self, call: Call, mailbox: Row, row: Row) -> Answer:
        call.need(*WRITE)
        self._mail.messages.check_key(call, row)
        self._mail.remove(row)
        return Answer(204)

    def _destination(self, call: Call, mailbox: Row) -> Row:
        call.need(*WRITE)
        text = call.object().get("destinationId")
        if not isinstance(text, str) or not text:
            raise bad_request("The destinationId is missing.", "ErrorInvalidRequest")
        return self._mail.find_folder(mailbox, text)

    def _move(self, call: Call, mailbox: Row, row: Row) -> Answer:
        folder = self._destination(call, mailbox)
        return self._one(call, 201, self._mail.messages.change(row, folder=folder["n"]), View())

    def _copy(self, call: Call, mailbox: Row, row: Row) -> Answer:
        copied = self._mail.copy(row, self._destination(call, mailbox))
        self.note(call, copied)
        return self._one(call, 201, copied, View())

    # --- sending ----------------------------------------------------------------------------------------------------------
    def _send_draft(self, call: Call, mailbox: Row, row: Row) -> Answer:
        call.need(*SEND)
        self._sending.send_draft(mailbox, row)
        return Answer(202)

    def send(self, call: Call, mailbox: Row, rest: list[str]) -> Answer:
        """Answers `POST /sendMail`."""
        if rest:
            raise no_segment(rest[0])
        call.allow("POST")
        call.need(*SEND)
        given = {name[:1].lower() + name[1:]: value for name, value in call.object().items()}  # clients write it either way
        message, is_saved = given.pop("message", None), given.pop("saveToSentItems", True)
        if given or not isinstance(message, dict) or not isinstance(is_saved, bool):
            raise bad_request("sendMail takes a message, and saveToSentItems true or false.", "ErrorInvalidRequest")
        body = read_message(message, is_new=True, is_draft=True)
        call.note.fields = body.names
        self._sending.send_new(mailbox, body, is_saved=is_saved)
        return Answer(202)
