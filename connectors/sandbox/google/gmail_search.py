"""The search of Gmail: reads `from:bo@acme.example after:2026/11/16 -in:chats "two words"` and says which messages are meant.

Words stand for whole words, wherever they are in a message; several must all be there, OR and {} allow one of them, - forbids.
An operator that Gmail does not have is searched as words, as a date is that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from connectors.sandbox.google import mime
from connectors.sandbox.google.gmail_schema import (
    CATEGORIES,
    CHAT,
    DRAFT,
    IMPORTANT,
    INBOX,
    SENT,
    SPAM,
    STARRED,
    SYSTEM_LABELS,
    TRASH,
    UNREAD,
)
from connectors.sandbox.google.table import Row

Test = Callable[[Row], bool]
DEEPEST = 50
# A quoted text, a bracket, or a word with what is quoted in it; blanks between are left out.
_TOKEN = re.compile(r'-(?=[^\s-])|[(){}]|[A-Za-z0-9_]+:(?=[("{])|"[^"]*"?|[^\s(){}"]+')
_OPERATOR = re.compile(r"([A-Za-z0-9_]+):(.*)", re.DOTALL)
_DAY = re.compile(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})")
_AGE = re.compile(r"(\d{1,5})([dmy])")
_SIZE = re.compile(r"(\d{1,12})([km]?)b?", re.IGNORECASE)
_DAYS_OF = {"d": 1, "m": 30, "y": 365}
PLACES = {
    "inbox": INBOX, "sent": SENT, "draft": DRAFT, "drafts": DRAFT, "trash": TRASH, "bin": TRASH, "spam": SPAM, "chat": CHAT,
    "chats": CHAT, "unread": UNREAD, "starred": STARRED, "important": IMPORTANT,
}  # fmt: skip
STATES = {"unread": UNREAD, "starred": STARRED, "important": IMPORTANT, "chat": CHAT, "sent": SENT}
HEADERS = {"from": ("from",), "to": ("to", "cc", "bcc"), "cc": ("cc",), "bcc": ("bcc",), "subject": ("subject",)}


@dataclass(slots=True)
class Box:
    """What a search must know of its mailbox: whose it is, `labels` by name in lower case, the clock, the zone of dates."""

    mailbox: str
    labels: dict[str, str]
    now: datetime
    zone: ZoneInfo


@dataclass(slots=True)
class Search:
    """A search that was read: `test` says whether a message is found, `sees_trash` that spam and trash are searched too."""

    test: Test
    sees_trash: bool


def read(text: str, box: Box) -> Search:
    """Returns what a search asks for; an empty one finds everything. Raises nothing: whatever people type is a search."""
    reader = _Reader(_TOKEN.findall(text), box)
    return Search(reader.all(), reader.sees_trash)


class _Reader:
    """Reads the tokens of one search from left to right."""

    def __init__(self, tokens: list[str], box: Box) -> None:
        self._tokens, self._box = tokens, box
        self._at = self._depth = 0
        self.sees_trash = False

    def all(self, end: str = "", operator: str = "") -> Test:
        """Returns the test that all that stands before `end` passes; OR binds its neighbours."""
        tests: list[Test] = []
        is_or = False
        while self._at < len(self._tokens) and (token := self._tokens[self._at]) != end:
            if token == "OR" and tests:
                self._at += 1
                is_or = True
                continue
            found = self._one(operator)
            if found is None:
                continue
            tests.append(_any([tests.pop(), found]) if is_or else found)
            is_or = False
        self._at += 1
        return _all(tests)

    def _some(self, operator: str) -> Test:
        """Returns the test that one of those in {} passes."""
        tests: list[Test] = []
        while self._at < len(self._tokens) and self._tokens[self._at] != "}":
            found = self._one(operator)
            if found is not None:
                tests.append(found)
        self._at += 1
        return _any(tests)

    def _one(self, operator: str) -> Test | None:
        token = self._tokens[self._at]
        self._at += 1
        if token == "-":
            if self._at == len(self._tokens):
                return None
            found = self._one(operator)
            return None if found is None else _not(found)
        if token in ("(", "{"):
            return self._group(token, operator)
        if token in (")", "}") or not token.strip('"'):
            return None
        if token.endswith(":") and self._at < len(self._tokens) and self._tokens[self._at][0] in '("{':
            following = self._tokens[self._at]
            self._at += 1
            if following in ("(", "{"):
                return self._group(following, token[:-1].lower())
            return self._term(token[:-1].lower(), following.strip('"'))
        found_operator = None if token.startswith('"') else _OPERATOR.fullmatch(token)
        if found_operator and not operator:
            return self._term(found_operator[1].lower(), found_operator[2])
        return self._term(operator, token.strip('"'))

    def _group(self, opening: str, operator: str) -> Test | None:
        self._depth += 1
        if self._depth > DEEPEST:
            return None
        found = self.all(")", operator) if opening == "(" else self._some(operator)
        self._depth -= 1
        return found

    def _term(self, operator: str, value: str) -> Test:
        """Returns the test of one operator and its value."""
        word = value.strip().lower()
        if operator in HEADERS:
            return self._in_headers(HEADERS[operator], value)
        if operator in ("label", "in"):
            return self._labeled(word)
        if operator == "is":
            return self._in_state(word)
        if operator == "category":
            return _has_label(CATEGORIES.get(word, ""))
        if operator == "has" and word in ("attachment", "attachments"):
            return lambda row: bool(row.get("attachments"))
        if operator == "filename":
            return lambda row: any(word in each["name"].lower() for each in row.get("attachments", []))
        if operator == "rfc822msgid":
            wanted = f"<{value.strip().strip('<>')}>"
            return lambda row: row["messageId"] == wanted
        found = self._by_time(operator, word) or _by_size(operator, word)
        return found or _words(f"{operator}:{value}" if operator else value, _everything)

    def _in_headers(self, keys: tuple[str, ...], value: str) -> Test:
        words = self._box.mailbox if value.strip().lower() == "me" and keys != ("subject",) else value
        return _words(words, lambda row: "\n".join(row.get(key, "") for key in keys))

    def _labeled(self, name: str) -> Test:
        if name == "anywhere":
            self.sees_trash = True
            return lambda row: True
        id_ = PLACES.get(name) or next((each for each in SYSTEM_LABELS if each.lower() == name), "")
        if id_ in (TRASH, SPAM):
            self.sees_trash = True
        return _has_label(id_ or self._box.labels.get(label_word(name), ""))

    @staticmethod
    def _in_state(word: str) -> Test:
        if word == "read":
            return lambda row: UNREAD not in row["labels"]
        return _has_label(STATES.get(word, ""))

    def _by_time(self, operator: str, word: str) -> Test | None:
        if operator in ("after", "newer", "before", "older"):
            at = self._instant(word)
            is_after = operator in ("after", "newer")
        elif operator in ("newer_than", "older_than") and (age := _AGE.fullmatch(word)):
            at = int((self._box.now - timedelta(days=int(age[1]) * _DAYS_OF[age[2]])).timestamp() * 1000)
            is_after = operator == "newer_than"
        else:
            return None
        if at is None:
            return None
        limit = at
        return (lambda row: row["date"] >= limit) if is_after else (lambda row: row["date"] < limit)

    def _instant(self, word: str) -> int | None:
        """Returns milliseconds for seconds since 1970, or for the midnight that begins a day; None for anything else."""
        if word.isascii() and word.isdigit() and len(word) <= 11 and len(word) > 4:
            return int(word) * 1000
        day = _DAY.fullmatch(word)
        try:
            return int(datetime(*map(int, day.groups()), tzinfo=self._box.zone).timestamp() * 1000) if day else None  # type: ignore[misc,arg-type]
        except (ValueError, OverflowError):
            return None


def label_word(name: str) -> str:
    """Returns how a search writes the name of a label: `crm-salesforce` for CRM/Salesforce."""
    return re.sub(r"[\s/]+", "-", name.strip().lower())


def _by_size(operator: str, word: str) -> Test | None:
    found = _SIZE.fullmatch(word)
    if operator not in ("size", "larger", "smaller") or found is None:
        return None
    limit = int(found[1]) * {"": 1, "k": 1024, "m": 1024**2}[found[2].lower()]
    if operator == "smaller":
        return lambda row: mime.size_estimate(row) < limit
    return lambda row: mime.size_estimate(row) > limit


def _has_label(id_: str) -> Test:
    return lambda row: id_ in row["labels"]


def _words(text: str, place: Callable[[Row], str]) -> Test:
    """Returns whether the words of a text stand in a place of the message, one behind the other."""
    words = re.findall(r"\w+", text.casefold())
    if not words:
        return lambda row: True
    form = re.compile(r"(?<!\w)" + r"\W+".join(map(re.escape, words)) + r"(?!\w)")
    rarest = max(words, key=len)  # most messages do not have it: no need to look closer

    def test(row: Row) -> bool:
        found = place(row).casefold()
        return rarest in found and form.search(found) is not None

    return test


def _everything(row: Row) -> str:
    names = [each["name"] for each in row.get("attachments", [])]
    return "\n".join([row["subject"], row["from"], row["to"], row.get("cc", ""), row.get("bcc", ""), mime.plain(row), *names])


def _all(tests: list[Test]) -> Test:
    return lambda row: all(test(row) for test in tests)


def _any(tests: list[Test]) -> Test:
    return lambda row: any(test(row) for test in tests)


def _not(test: Test) -> Test:
    return lambda row: not test(row)
