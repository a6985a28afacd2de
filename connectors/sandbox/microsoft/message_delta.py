"""Delta rounds of a folder's messages: what they may be asked for beside the properties."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from connectors.sandbox.microsoft import filters
from connectors.sandbox.microsoft import values as read
from connectors.sandbox.microsoft.calls import MOST_ROWS, Answer, Call
from connectors.sandbox.microsoft.delta import Delta, Round
from connectors.sandbox.microsoft.mail_store import MailStore
from connectors.sandbox.microsoft.message_view import MessageView, applied
from connectors.sandbox.microsoft.refusal import bad_request
from connectors.sandbox.microsoft.table import Row

OPTIONS = ("$select", "$filter", "$top", "$expand", "changeType")
MOST_FILTERED = 5000  # messages of a first round with a filter; the newest are told


class MessageDelta:
    """Answers `/mailFolders/{id}/messages/delta`. What a round was asked for is in its tokens."""

    def __init__(self, mail: MailStore, delta: Delta, view: MessageView) -> None:
        self._mail, self._delta, self._view = mail, delta, view

    def answer(self, call: Call, folder: Row) -> Answer:
        stream = self._mail.messages.stream(folder["n"])
        told = self._delta.round(call, stream, options=self._options(call, folder), allowed=OPTIONS)
        # The options of the round stand in for those of the call, which brings none once it holds a token.
        call.parameters.update({name: text for name, text in told.options.items() if name.startswith("$")})
        view, with_attachments = self._view.read(call)
        call.note.fields = view.fields

        def show(row: Row) -> dict[str, Any]:
            folder = self._mail.folders[row["folder"]]["displayName"]
            call.note.items.append({"id": self._mail.messages.id_of(row, is_immutable=True), "folder": folder})
            return self._view.shown(call, row, view, with_attachments=with_attachments)

        answer = self._delta.page(call, told, show, type_="message", keep=self._keep(told), is_removal_told=_tells_removals(told))
        answer.headers += applied(call)
        return answer

    def _options(self, call: Call, folder: Row) -> dict[str, str]:
        """Returns what a call that begins a round asks for. Raises Refused for what rounds cannot do."""
        given = {name: call.parameters[name] for name in OPTIONS if name in call.parameters}
        self._view.read(call)
        call.number("$top", MOST_ROWS, 1, MOST_ROWS)
        if given.get("changeType", "created").lower() != "created":
            raise bad_request(f"The changeType '{given['changeType'][:40]}' is not supported by rounds of messages.")
        if "$filter" in given:
            test = _received(given["$filter"])
            passing = [row["values"]["receivedDateTime"] for row in self._mail.messages.within(folder["n"]) if test(row)]
            if len(passing) > MOST_FILTERED:
                given["_floor"] = heapq.nlargest(MOST_FILTERED, passing)[-1]
        return given

    @staticmethod
    def _keep(told: Round) -> Callable[[Row], bool]:
        """Returns what tells the messages of a round from those that it was not asked for."""
        options = told.options
        tests = [_received(options["$filter"])] if "$filter" in options else []
        if told.since is None and "_floor" in options:
            tests.append(lambda row: bool(row["values"]["receivedDateTime"] >= options["_floor"]))
        if told.since is not None and "changeType" in options:
            since = told.since
            tests.append(lambda row: bool(row["entered"] > since))
        return lambda row: all(test(row) for test in tests)


def _tells_removals(told: Round) -> bool:
    return "changeType" not in told.options


def _received(text: str) -> filters.Test:
    """Returns the test of `receivedDateTime ge …` or `gt`. Raises Refused for any other filter."""
    node = filters.parse(text)
    if not isinstance(node, filters.Compare) or node.path != "receivedDateTime" or node.op not in ("ge", "gt"):
        raise bad_request("A round of messages takes $filter=receivedDateTime ge or gt only.", "ErrorInvalidUrlQueryFilter")
    wanted = read.comparable(node.value)
    return lambda row: filters.holds(node.op, row["values"]["receivedDateTime"][:-1], wanted)
