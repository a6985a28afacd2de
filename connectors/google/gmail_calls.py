"""The calls of one Gmail mailbox, many in one request where that is allowed, each answered by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from connectors.contract import CallCount
from connectors.errors import TOO_MUCH, ConnectorError, OutcomeUnknown, ServerTrouble
from connectors.google import batch
from connectors.google.batch import Call, Said
from connectors.google.client import MOST_PARTS, PART, GoogleClient
from connectors.google.faults import read_fault
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.http import REPEATS, Answer, HttpClient, parse_wait, unreadable

ME = "/users/me"
MESSAGES = f"{ME}/messages"
ONE_MESSAGE = f"{MESSAGES}/{{message}}"

Found = Mapping[str, Any] | ConnectorError
"""What a call was answered: its JSON object, or what its refusal means."""


def path_of(*segments: str, **options: str) -> str:
    """Returns the path of a call about this mailbox, each segment as it is."""
    path = "/".join([ME, *(quote(text, safe="") for text in segments)])
    return f"{path}?{urlencode(options)}" if options else path


class GmailCalls:
    """Sends calls. Not for several threads at once."""

    def __init__(self, http: HttpClient, client: GoogleClient, settings: GoogleSettings) -> None:
        self._http, self.client, self._settings = http, client, settings

    @property
    def counts(self) -> CallCount:
        return self._http.counts

    def get(self, path: str, *, template: str, is_of_record: bool = False) -> Answer:
        """Returns the answer to one read. Raises the error of any other than success."""
        return self.client.get(path, template=template, is_of_record=is_of_record)

    def said(self, calls: Sequence[Call], *, is_read: bool = True) -> list[Found]:
        """Returns what each call was answered, in order. Raises what concerns all of them. Reads that failed in passing are asked
        again; where an answer is too large, it is asked for in halves."""
        found: list[Found] = []
        size = MOST_PARTS if self._settings.reads_in_batches else 1
        for start in range(0, len(calls), size):
            found += self._at_once(calls[start : start + size], is_read=is_read)
        if is_read and found and all(isinstance(one, ServerTrouble) for one in found):
            self.client.get(f"{ME}/profile")  # raises where it is the mailbox that does not answer, and not these messages
        return found

    def _at_once(self, calls: Sequence[Call], *, is_read: bool) -> list[Found]:
        if len(calls) == 1:
            return [self._single(calls[0], is_read=is_read)]
        try:
            said, answer = self._sent(calls, is_read=is_read)
        except OutcomeUnknown as trouble:
            if trouble.code != TOO_MUCH or not is_read:
                raise
            half = len(calls) // 2
            return [*self._at_once(calls[:half], is_read=True), *self._at_once(calls[half:], is_read=True)]
        for attempt in range(REPEATS if is_read else 0):
            failed = [at for at, one in enumerate(said) if one.status == 0 or one.status >= 500]
            if not failed:
                break
            self._http.back_off(attempt, first_seconds=0.1)
            for at, one in zip(failed, self._sent([calls[at] for at in failed], is_read=True)[0], strict=True):
                said[at] = one
        # A part whose token was refused is sent by itself: that renews it.
        return [
            self._single(call, is_read=is_read) if one.status == 401 else self._found(one, answer, is_read=is_read)
            for call, one in zip(calls, said, strict=True)
        ]

    def _single(self, call: Call, *, is_read: bool) -> Found:
        try:
            if call.method == "GET":
                answer = self.client.get(call.path, template=call.template, is_of_record=True)
            else:
                answer = self.client.post(call.path, call.body, template=call.template, is_of_record=True)
        except ConnectorError as error:
            return error
        return dict(answer.data)

    def _sent(self, calls: Sequence[Call], *, is_read: bool) -> tuple[list[Said], Answer]:
        content = batch.written(calls, self.client.api.root)
        answer = self.client.batch(self.client.api.batch, content, batch.CONTENT_TYPE, is_read=is_read, parts=len(calls))
        by_template = self._http.counts.by_template
        for call in calls:
            key = f"{PART}{call.method} {self.client.api.root}{call.template}"
            by_template[key] = by_template.get(key, 0) + 1
        said = batch.read(answer.content, answer.headers.get("Content-Type", ""), len(calls))
        if not any(one.status for one in said):
            raise unreadable(SYSTEM, answer, is_read=is_read)
        return said, answer

    def _found(self, said: Said, answer: Answer, *, is_read: bool) -> Found:
        if 200 <= said.status < 300 and isinstance(said.data, dict):
            return said.data
        if said.status == 204:
            return {}
        fault = read_fault(said.data, said.status)
        if fault is None:
            if said.status == 0 or said.status >= 500:
                return ServerTrouble(f"failed with {said.status}", system=SYSTEM, status=said.status, may_have_happened=not is_read)
            return unreadable(SYSTEM, answer, is_read=is_read)
        now = answer.server_time.timestamp() if answer.server_time is not None else 0.0
        wait = parse_wait(said.wait, now=now) if said.wait else None
        scopes = (self.client.api.scope.name,)
        error = self.client.judge.error(fault, is_read=is_read, redact=answer.redact, scopes=scopes, wait=wait, is_of_record=True)
        return self.client.judged(error)
