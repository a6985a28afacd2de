"""`$filter`: comparisons, `any` over collections, `and`, `or`, `not`. What may be compared, each kind of thing says itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.microsoft.refusal import Refused, bad_request

OPERATORS = ("eq", "ne", "gt", "ge", "lt", "le")
MOST_NESTED = 50
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<when>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?)|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z_@$][\w.@$]*(?:/[A-Za-z_@$][\w.@$]*)*)|(?P<sign>[():,]))"
)
_END = ("end", "")


@dataclass(frozen=True, slots=True)
class Compare:
    """`path op value`; `op` is also the name of a function such as startswith."""

    path: str
    op: str
    value: Any


@dataclass(frozen=True, slots=True)
class Some:
    """`collection/any(x: …)`; the paths within lack the variable. `within` None: there is any element."""

    collection: str
    within: Node | None


@dataclass(frozen=True, slots=True)
class Logic:
    """`and`, `or` of parts, `not` of one."""

    op: str
    parts: tuple[Node, ...]


Node = Compare | Some | Logic
Test = Callable[[Any], bool]


def parse(text: str) -> Node:
    """Returns what a filter says. Raises Refused for what is none."""
    parser = _Parser(text)
    node = parser.either(0)
    if parser.next() != _END:
        raise parser.refusal()
    return node


def compiled(node: Node, compare: Callable[[Compare], Test], some: Callable[[Some], Test]) -> Test:
    """Returns the test that a filter is. `compare` and `some` make those of its leaves, or raise Refused."""
    if isinstance(node, Compare):
        return compare(node)
    if isinstance(node, Some):
        return some(node)
    tests = [compiled(part, compare, some) for part in node.parts]
    if node.op == "not":
        return lambda row: not tests[0](row)
    return (lambda row: all(t(row) for t in tests)) if node.op == "and" else (lambda row: any(t(row) for t in tests))


def unsupported(what: str) -> Refused:
    return bad_request(f"The query filter contains an unsupported property or operator: {what[:120]}", "ErrorInvalidUrlQueryFilter")


class _Parser:
    """Reads a filter from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise bad_request(f"Invalid filter clause: syntax error at position {position} in '{text[:200]}'.")
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()

    def refusal(self) -> Refused:
        return bad_request(f"Invalid filter clause: syntax error behind '{' '.join(t for _, t in self._tokens[: self._at])[-120:]}'.")

    def next(self) -> tuple[str, str]:
        token = self._tokens[self._at] if self._at < len(self._tokens) else _END
        self._at += 1
        return token

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _take(self, text: str) -> bool:
        if self._peek()[0] in ("word", "sign") and self._peek()[1].lower() == text:
            self._at += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            self._at += 1
            raise self.refusal()

    def either(self, depth: int) -> Node:
        parts = [self._both(depth)]
        while self._take("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Logic("or", tuple(parts))

    def _both(self, depth: int) -> Node:
        parts = [self._one(depth)]
        while self._take("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else Logic("and", tuple(parts))

    def _one(self, depth: int) -> Node:
        if depth > MOST_NESTED:
            raise bad_request("Invalid filter clause: it nests too deep.")
        if self._take("not"):
            return Logic("not", (self._one(depth + 1),))
        if self._take("("):
            node = self.either(depth + 1)
            self._need(")")
            return node
        kind, word = self.next()
        if kind != "word":
            raise self.refusal()
        if self._peek() == ("sign", "("):
            return self._called(word, depth)
        op = self.next()[1].lower()
        if op not in OPERATORS:
            raise self.refusal()
        return Compare(word, op, self._literal())

    def _called(self, word: str, depth: int) -> Node:
        """Reads `collection/any(x: …)` or `startswith(path, 'a')` behind its name."""
        self._need("(")
        collection, _, function = word.rpartition("/")
        if collection and function.lower() == "any":
            if self._take(")"):
                return Some(collection, None)
            variable = self.next()[1]
            self._need(":")
            within = self.either(depth + 1)
            self._need(")")
            return Some(collection, _without(within, variable))
        path = self.next()[1]
        self._need(",")
        value = self._literal()
        self._need(")")
        return Compare(path, word.lower(), value)

    def _literal(self) -> Any:
        kind, text = self.next()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "when":
            return text
        if kind == "word" and text.lower() in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text.lower()]
        raise self.refusal()


def _without(node: Node, variable: str) -> Node:
    """Returns the inner filter of an `any` with the variable taken off its paths: '' is the element itself."""
    if isinstance(node, Compare):
        if node.path.partition("/")[0] != variable:
            raise bad_request(f"Invalid filter clause: '{node.path[:80]}' does not begin with '{variable[:40]}'.")
        return Compare(node.path.partition("/")[2], node.op, node.value)
    if isinstance(node, Logic):
        return Logic(node.op, tuple(_without(part, variable) for part in node.parts))
    raise unsupported("a lambda within a lambda")


def holds(op: str, have: Any, want: Any) -> bool:
    """Tells whether a comparison holds. Texts are compared without regard to case, as the store does."""
    have, want = (each.casefold() if isinstance(each, str) else each for each in (have, want))
    if op in ("eq", "ne"):
        return bool((have == want) == (op == "eq"))
    if isinstance(have, str) and isinstance(want, str):
        words = {"startswith": have.startswith(want), "endswith": have.endswith(want), "contains": want in have}
        if op in words:
            return words[op]
    if have is None or want is None or type(have) is not type(want):
        return False
    return bool({"gt": have > want, "ge": have >= want, "lt": have < want, "le": have <= want}.get(op, False))
