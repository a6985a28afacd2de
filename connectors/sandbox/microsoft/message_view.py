"""How a message reads: as an answer holds it, and what it is searched and ordered by."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from hashlib import shake_256
from typing import Any

from connectors.sandbox.microsoft import filters, item_body, message_schema, message_text
from connectors.sandbox.microsoft import values as read
from connectors.sandbox.microsoft.attachments import Attachments
from connectors.sandbox.microsoft.calls import Call
from connectors.sandbox.microsoft.extended import read_property_id
from connectors.sandbox.microsoft.mail_store import MailStore
from connectors.sandbox.microsoft.query import View, read_expand, read_select, shown_extended
from connectors.sandbox.microsoft.refusal import Refused, bad_request
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row

TIMES = ("receivedDateTime", "sentDateTime", "createdDateTime", "lastModifiedDateTime")
_ADDRESSES = ("from/emailAddress/address", "from/emailAddress/name", "sender/emailAddress/address", "sender/emailAddress/name")
SORTABLE = (*TIMES, "subject", "importance", "isRead", "isDraft", "hasAttachments", "conversationId", *_ADDRESSES)
_EQUAL = ("internetMessageId", "conversationId", "isDraft", "isRead", "hasAttachments", "importance", "inferenceClassification",
          "flag/flagStatus", "parentFolderId", "id")  # fmt: skip
_WORDS = ("subject", *_ADDRESSES)
_PREFERRED_TEXT = "outlook.body-content-type"


class MessageView:
    """Shows messages and tests them."""

    def __init__(self, store: Store, mail: MailStore, attachments: Attachments) -> None:
        self._store, self._mail, self._attachments = store, mail, attachments

    # --- what is asked for --------------------------------------------------------------------------------------------------
    def read(self, call: Call) -> tuple[View, bool]:
        """Returns what a call asks to see, and whether with attachments. Raises Refused."""
        select = read_select(call.parameters.get("$select"), message_schema.PROPERTIES, "message")
        extended: dict[str, str] = {}
        with_attachments = False
        for part in _expansions(call.parameters.get("$expand")):
            if re.fullmatch(r"attachments\s*", part):
                with_attachments = True
            else:
                extended.update(read_expand(part))
        return View(select, extended), with_attachments

    # --- one message --------------------------------------------------------------------------------------------------------
    def shown(self, call: Call, row: Row, view: View, *, with_attachments: bool = False) -> dict[str, Any]:
        """Returns a message as an answer holds it: etag and id come with any choice of properties."""
        change_key = self._mail.messages.change_key(row)
        names = message_schema.BY_DEFAULT if view.select is None else ("id", *view.select)
        if not call.permissions & {"Mail.Read", "Mail.ReadWrite"}:
            names = tuple(name for name in names if name not in message_schema.TEXTS)
        own = {"@odata.etag": f'W/"{change_key}"', **{name: self._property(call, row, name) for name in dict.fromkeys(names)}}
        extended = shown_extended(row["extended"], view.extended, is_lower=self._store.switches.lower_property_ids)
        if extended:
            own["singleValueExtendedProperties"] = extended
        if with_attachments:
            own["attachments"] = [self._attachments.shown(each, None) for each in self._mail.attachments(row)]
        return own

    def _property(self, call: Call, row: Row, name: str) -> Any:
        if name in message_schema.TEXTS:
            body = self.value(row, "body")
            if name == "bodyPreview":
                return item_body.preview(body)
            return preferred(call, message_text.unique(body) if name == "uniqueBody" else body)
        if name == "id":
            return self._mail.messages.id_of(row, is_immutable=call.is_immutable)
        if name == "webLink":
            id_ = self._mail.messages.id_of(row, is_immutable=False)
            return f"https://outlook.office365.com/owa/?ItemID={id_}&exvsurl=1&viewmodel=ReadMessageItem"
        return self.value(row, name)

    # --- searching ------------------------------------------------------------------------------------------------------------
    def value(self, row: Row, name: str) -> Any:
        """Returns a property that is no text of the mail; of one with parts, `from/emailAddress/address` and its like."""
        values = row["values"]
        if name in values:
            return values[name]
        if name in message_schema.DEFAULTS:
            return message_schema.DEFAULTS[name]
        if "/" in name:
            first, *rest = name.split("/")
            found = self.value(row, first)
            for part in rest:
                found = found.get(part) if isinstance(found, dict) else None
            return found
        own = {"createdDateTime": row["created"], "lastModifiedDateTime": row["modified"]}
        if name in own:
            return own[name]
        if name == "changeKey":
            return self._mail.messages.change_key(row)
        if name == "hasAttachments":
            return self._mail.has_attachments(row)
        if name == "parentFolderId":
            return self._mail.folder_id(self._mail.folders[row["folder"]])
        if name == "conversationId":
            return self.conversation_id(row["mailbox"], values["conversation"])
        if name == "conversationIndex":
            digest = shake_256(f"{self._store.key} {values['conversation']}".encode()).digest(21)
            return base64.b64encode(b"\x01" + digest).decode()
        return self._mail.messages.id_of(row, is_immutable=False)

    def conversation_id(self, mailbox: int, conversation: str) -> str:
        """Returns the id of a conversation, which is another one in every mailbox."""
        digest = shake_256(f"{self._store.key} conversation {mailbox} {conversation}".encode()).digest(48)
        return "AAQkAD" + base64.urlsafe_b64encode(digest).decode()

    def test(self, node: filters.Node) -> filters.Test:
        """Returns the test that a filter is. Raises Refused for what cannot be searched for."""
        return filters.compiled(node, self._compare, self._some)

    def _compare(self, node: filters.Compare) -> filters.Test:
        path, op = node.path, node.op
        if path in TIMES and op in filters.OPERATORS:
            wanted = read.comparable(node.value)
            return lambda row: filters.holds(op, self.value(row, path)[:-1], wanted)
        may_equal = path in _EQUAL and op in ("eq", "ne")
        if not may_equal and not (path in _WORDS and op in ("eq", "ne", "startswith", "contains")):
            raise filters.unsupported(f"{path} {op}")
        return lambda row: filters.holds(op, self.value(row, path), node.value)

    def _some(self, node: filters.Some) -> filters.Test:
        name = node.collection
        tests = {"categories": _category_test, "singleValueExtendedProperties": _property_test}
        if node.within is None or name not in tests:
            raise filters.unsupported(f"{name}/any")
        test = filters.compiled(node.within, tests[name], _no_lambda)
        if name == "categories":
            return lambda row: any(test(each) for each in row["values"].get(name, ()))
        return lambda row: any(test(each) for each in row["extended"].items())


def preferred(call: Call, body: Mapping[str, Any]) -> dict[str, str]:
    """Returns a body of the type that a call prefers: text where it says so, else HTML."""
    if call.prefers.get(_PREFERRED_TEXT, "").lower() == "text":
        return {"contentType": "text", "content": item_body.as_text(dict(body))}
    return {"contentType": "html", "content": item_body.as_html(dict(body))}


def applied(call: Call) -> list[tuple[str, str]]:
    """Returns the header that says which preferences an answer follows."""
    own = [f'{_PREFERRED_TEXT}="text"'] if call.prefers.get(_PREFERRED_TEXT, "").lower() == "text" else []
    own += ['IdType="ImmutableId"'] if call.is_immutable else []
    return [("Preference-Applied", ", ".join(own))] if own else []


def check_order(node: filters.Node | None, orderby: str | None) -> None:
    """Raises Refused where a list is filtered and ordered, and what it is ordered by does not stand first in the filter."""
    if node is None or not orderby:
        return
    ordered = [word.strip().partition(" ")[0] for word in orderby.split(",") if word.strip()]
    if list(dict.fromkeys(_paths(node)))[: len(ordered)] != ordered:
        raise Refused(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")


def _paths(node: filters.Node) -> list[str]:
    if isinstance(node, filters.Logic):
        return [path for part in node.parts for path in _paths(part)]
    return [node.path if isinstance(node, filters.Compare) else node.collection]


def _expansions(text: str | None) -> list[str]:
    """Returns the parts of an $expand, which commas between brackets do not part."""
    parts, depth = [""], 0
    for sign in text or "":
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    if depth:
        raise bad_request(f"Could not expand '{(text or '')[:80]}'.")
    return [part.strip() for part in parts if part.strip()]


def _no_lambda(node: filters.Some) -> filters.Test:
    raise filters.unsupported(f"{node.collection}/any")


def _category_test(node: filters.Compare) -> filters.Test:
    if (node.path, node.op) != ("", "eq"):
        raise filters.unsupported(f"categories {node.path} {node.op}")
    return lambda name: filters.holds("eq", name, node.value)


def _property_test(node: filters.Compare) -> filters.Test:
    if (node.path, node.op) == ("id", "eq"):
        wanted = read_property_id(node.value)
        return lambda item: bool(item[0] == wanted)
    if node.path == "value" and node.op in ("eq", "ne", "startswith", "contains"):
        return lambda item: filters.holds(node.op, item[1], node.value)
    raise filters.unsupported(f"singleValueExtendedProperties {node.path} {node.op}")
