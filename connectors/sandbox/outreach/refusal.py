"""A write that Outreach refuses."""

from __future__ import annotations


class Refused(Exception):
    """Status, error id, sentence, and the pointer to what is wrong in the document."""

    def __init__(self, status: int, code: str, detail: str, pointer: str = "/data") -> None:
        super().__init__(detail)
        self.status, self.code, self.pointer = status, code, pointer
