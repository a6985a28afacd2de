"""The calls under `labels`: those of the system, and those that people and programs make."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.google.calls import Call
from connectors.sandbox.google.gmail_calls import MailMethod
from connectors.sandbox.google.gmail_schema import COLORS, HIDDEN_LABELS, READS_LABELS, SYSTEM_LABELS, TYPES, UNREAD, WRITES_LABELS
from connectors.sandbox.google.gmail_store import MailStore, label_id
from connectors.sandbox.google.gmail_tables import thread_of
from connectors.sandbox.google.refusal import invalid, not_found
from connectors.sandbox.google.table import Row

SHOWN = ("messageListVisibility", "labelListVisibility", "color")
FRESH = {"messageListVisibility": "show", "labelListVisibility": "labelShow"}


class Labels:
    """What the calls of labels answer."""

    def __init__(self, mail: MailStore) -> None:
        self._mail = mail

    def method(self, call: Call) -> MailMethod | None:
        """Returns the method of a call; None where there is none."""
        if len(call.parts) == 1:
            return {"GET": MailMethod(self._list, READS_LABELS, 1), "POST": MailMethod(self._create, WRITES_LABELS, 5)}.get(call.method)
        if len(call.parts) != 2:
            return None
        return {
            "GET": MailMethod(self._get, READS_LABELS, 1),
            "PATCH": MailMethod(self._patch, WRITES_LABELS, 5),
            "PUT": MailMethod(self._update, WRITES_LABELS, 5),
            "DELETE": MailMethod(self._delete, WRITES_LABELS, 5),
        }.get(call.method)

    def _list(self, call: Call) -> dict[str, Any]:
        call.allow()
        own = [_shown(row) for row in self._mail.labels.box(call.mailbox)]
        return {"labels": [_of_system(id_) for id_ in SYSTEM_LABELS] + own}

    def _get(self, call: Call) -> dict[str, Any]:
        call.allow()
        id_ = call.parts[1]
        told = _of_system(id_) if id_ in SYSTEM_LABELS else _shown(self._own(call))
        rows = [row for row in self._mail.messages.box(call.mailbox) if id_ in row["labels"]]
        unread = [row for row in rows if UNREAD in row["labels"]]
        told |= {"messagesTotal": len(rows), "messagesUnread": len(unread)}
        return {**told, "threadsTotal": len(set(map(thread_of, rows))), "threadsUnread": len(set(map(thread_of, unread)))}

    def _create(self, call: Call) -> dict[str, Any]:
        call.allow()
        body = _body(call)
        row = self._mail.add_label(call.mailbox, body.get("name", ""), {**FRESH, **_given(body)})
        call.touched.append(label_id(row))
        return _shown(row)

    def _patch(self, call: Call) -> dict[str, Any]:
        call.allow()
        body, row = _body(call), self._own(call, "Invalid update request")
        return self._stored(row, str(body.get("name", row["title"])), {**row["shown"], **_given(body)})

    def _update(self, call: Call) -> dict[str, Any]:
        call.allow()
        body, row = _body(call), self._own(call, "Invalid update request")
        return self._stored(row, body.get("name", ""), {**FRESH, **_given(body)})

    def _stored(self, row: Row, name: str, shown: dict[str, Any]) -> dict[str, Any]:
        self._mail.check_label_name(row["mailbox"], name, row)
        return _shown(self._mail.store.put(self._mail.labels, {**row, "title": name, "shown": shown}))

    def _delete(self, call: Call) -> None:
        call.allow()
        self._mail.drop_label(self._own(call, "Invalid delete request"))

    def _own(self, call: Call, refusal: str = "") -> Row:
        """Returns the label of a user that a call names. Raises Refused, in the words given for a label of the system."""
        id_ = call.parts[1]
        if refusal and id_ in SYSTEM_LABELS:
            raise invalid(refusal)
        row = self._mail.label(call.mailbox, id_)
        if row is None:
            raise not_found()
        return row


def _body(call: Call) -> dict[str, Any]:
    """Returns the label in a body. Raises Refused, also for a colour that Gmail does not have."""
    body = call.json("Label", "label", TYPES)
    color = body.get("color", {})
    for name in ("backgroundColor", "textColor") if color else ():
        value = color.get(name, "")
        if not value.startswith("#") or value[1:].lower() not in COLORS:
            raise invalid(f"Label color {value[:20]} is not on the allowed color palette")
    return body


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in SHOWN if name in body}


def _shown(row: Row) -> dict[str, Any]:
    return {"id": label_id(row), "name": row["title"], **row["shown"], "type": "user"}


def _of_system(id_: str) -> dict[str, Any]:
    told = {"id": id_, "name": id_, "type": "system"}
    hidden = {"messageListVisibility": "hide", "labelListVisibility": "labelHide"}
    return {**told, **hidden} if id_ in HIDDEN_LABELS else told
