"""A call, or one record of a call, that Salesforce refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Refused(Exception):
    """Status, code, sentence, and the fields it is about. `extra` is what single-record answers show besides."""

    def __init__(
        self, status: int, code: str, message: str, fields: Sequence[str] | None = None, *, extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.fields = None if fields is None else list(fields)
        self.extra = dict(extra or {})

    def as_error(self) -> dict[str, Any]:
        """Returns the entry of the array that answers a call as a whole."""
        told: dict[str, Any] = {**self.extra, "message": self.message, "errorCode": self.code}
        return told if self.fields is None else {**told, "fields": self.fields}

    def as_result(self) -> dict[str, Any]:
        """Returns the entry of a record's `errors` in a call of many records, which says statusCode and no `extra`."""
        return {"statusCode": self.code, "message": self.message, "fields": self.fields or []}


def bad_parameter(sentence: str) -> Refused:
    """Returns the refusal of a parameter or header that makes no sense."""
    return Refused(400, "ILLEGAL_QUERY_PARAMETER_VALUE", sentence)


def bad_json(sentence: str) -> Refused:
    return Refused(400, "JSON_PARSER_ERROR", sentence)


def not_found(sentence: str = "The requested resource does not exist") -> Refused:
    return Refused(404, "NOT_FOUND", sentence)
