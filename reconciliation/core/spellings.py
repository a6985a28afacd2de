"""Finds what is said of a person in texts and JSON, in every spelling it travels in, and puts a mark in its place. Pure."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

FORGOTTEN = re.compile(r"\(forgotten \d+\)")
_GAP = r"(?:\s|%20|\+|_|&nbsp;|\\u00a0|\\n|\xa0)+"
_ESCAPE = r"(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt\"/])"  # a letter before the word may be the end of an escape
_ADDRESS = re.compile(r"(?i)(?<![\w.+\-'])[\w.+\-']+(?:@|%40)[\w\-]+(?:\.[\w\-]+)*")
_PHONE = re.compile(r"(?<![\w+.\-])(?:\+|0)[\d(](?:[\s()/.\-]{0,2}\d){6,16}(?![\w\-])")
MOST_PIECES = 4
_ASCII = re.compile(r"[A-Za-z0-9._\-]+")


def mark_of(number: int) -> str:
    """Returns what stands in the place of a forgotten person's values; the number leads to who did it and when."""
    return f"(forgotten {number})"


def has_forgotten(value: Any) -> bool:
    """Tells whether a value, or one inside it, was forgotten: it must not be written anywhere."""
    if isinstance(value, str):
        return "(forgotten " in value and FORGOTTEN.search(value) is not None
    if isinstance(value, dict):
        return any(has_forgotten(part) for part in value.values())
    return isinstance(value, list | tuple) and any(has_forgotten(part) for part in value)


def without_addresses(value: Any) -> Any:
    """Returns the value with a word in the place of every e-mail address and telephone number in its texts."""
    if isinstance(value, str):
        return _PHONE.sub("(number)", _ADDRESS.sub("(address)", value))
    if isinstance(value, dict):
        return {name: without_addresses(part) for name, part in value.items()}
    return [without_addresses(part) for part in value] if isinstance(value, list | tuple) else value


class Finder:
    """Looks for terms: e-mail addresses, names of several words, references such as workbooks:person:7."""

    def __init__(self, terms: Iterable[str], mark: str) -> None:
        self.terms = sorted({t.strip() for t in terms if t.strip()}, key=len, reverse=True)
        self.mark = mark
        self._pattern = re.compile("|".join(_pattern_of(t) for t in self.terms), re.IGNORECASE) if self.terms else None

    @property
    def fragments(self) -> list[list[str]]:
        """Returns for each term the pieces that every spelling of it holds, whatever is escaped: for a first, rough look in
        the database. A term without any means that every row must be looked at."""
        return [sorted(set(_ASCII.findall(term)), key=len, reverse=True)[:MOST_PIECES] for term in self.terms]

    def finds(self, value: Any) -> bool:
        return bool(self.blank(value) != value)

    def blank(self, value: Any) -> Any:
        """Returns the value with the mark wherever a term stood, keys of objects included."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self._pattern.sub(self.mark, value)
        if isinstance(value, dict):
            return {self.blank(name): self.blank(part) for name, part in value.items()}
        return [self.blank(part) for part in value] if isinstance(value, list | tuple) else value


def _pattern_of(term: str) -> str:
    if "@" in term:
        return rf"(?:(?<![\w.+\-])|{_ESCAPE}){_spelled(term)}(?!\.?[\w\-])"
    words = term.replace(",", " ").split()
    patterns = [_GAP.join(_spelled(word) for word in words)]
    if len(words) > 1:  # "Doe, Jane" as lists write it
        patterns.append(rf"{_spelled(words[-1])},{_GAP}{_GAP.join(_spelled(word) for word in words[:-1])}")
    return rf"(?:(?<!\w)|{_ESCAPE})(?:{'|'.join(patterns)})(?!\w)"


def _spelled(word: str) -> str:
    """Returns the pattern of a word as it stands in texts, addresses, forms, JSON and HTML."""
    found: dict[str, None] = {}
    for form in (
        word,
        unicodedata.normalize("NFC", word),
        unicodedata.normalize("NFD", word),
        unicodedata.normalize("NFKC", word).casefold(),
    ):
        in_json = json.dumps(form)[1:-1]
        for spelling in (form, quote(form, safe=""), quote_plus(form), html.escape(form), in_json, json.dumps(in_json)[1:-1]):
            found[re.escape(spelling)] = None
    return f"(?:{'|'.join(sorted(found, key=len, reverse=True))})"
