"""What a list view asks for, taken out of its own query so that it can be evaluated for other users than ours. Pure.

The query comes from a describe (reference section 8.2). Its condition stays the text that Salesforce wrote, but it is read
word by word before it goes into a query of ours: what could end the brackets around it is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.contract import EVERYTHING, MINE, All, Condition, Op, Test, ViewTerms
from connectors.errors import Rejected
from connectors.salesforce import query
from connectors.salesforce.codec import SYSTEM

LONGEST_STATEMENT = 100_000  # characters
RESERVED = 1000  # of them, for what a query says besides columns, condition and lists: where the next page goes on, the order
MOST_IDS = 2000  # records of one query: an answer holds as many rows
OF_USERS = "Choose a view of the user's own records (“My …”) or of all records."
GONE = f"There is no such list view any more, or our user may not see it. {OF_USERS}"
NO_QUERY = f"Salesforce tells no query of this list view that can be used. {OF_USERS}"
NARROWED = f"The list view belongs to a queue, a campaign or the like and cannot be told for each user. {OF_USERS}"
CONTRADICTORY = f"Salesforce tells two different scopes of this list view. {OF_USERS}"
LIMITED = f"The list view is more than a scope and a condition and cannot be told for each user. {OF_USERS}"

_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    |(?P<text>'(?:[^'\\]|\\(?:[nNrRtTbBfF"'\\_%]|u[0-9A-Fa-f]{4}))*')
    |(?P<date>\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d))?)
    |(?P<money>[A-Za-z]{3}\d+(?:\.\d+)?(?![\w.]))
    |(?P<word>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*(?::\w+)?)
    |(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<mark><=|>=|!=|<>|[=<>(),])""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
# What may stand in a query behind its condition, or beside it. A condition that holds such a word has come to its end.
_CLAUSES = frozenset({"select", "from", "using", "where", "with", "group", "having", "order", "limit", "offset", "for", "all", "update"})
_SHAPE = ("select", "from", "using", "where", "order")  # the clauses that we understand, in their order


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int
    depth: int  # brackets around it


def terms_of(object_type: str, described: Mapping[str, Any]) -> ViewTerms:
    """Returns the terms of a list view from its describe. Those that cannot be used say why."""
    said = described.get("query")
    clauses = _clauses(said) if isinstance(said, str) else None
    if not isinstance(said, str) or clauses is None or not _is_of(clauses.get("from", []), object_type):
        return _unusable(object_type, said, NO_QUERY)
    if any(described.get(name) for name in ("scopeEntityId", "relatedEntityId")):
        return _unusable(object_type, said, NARROWED)
    if list(clauses) != [name for name in _SHAPE if name in clauses]:
        return _unusable(object_type, said, LIMITED)
    scope = _scope(clauses.get("using"))
    told = described.get("scope")
    if scope is None or (isinstance(told, str) and told.lower() != scope):
        return _unusable(object_type, said, CONTRADICTORY, scope or "")
    if scope not in (MINE, EVERYTHING):
        why = f"The list view is filtered by “{scope}”, which Salesforce tells for our own user only. {OF_USERS}"
        return _unusable(object_type, said, why, scope)
    where = clauses.get("where", [])
    if "where" in clauses and not where:
        return _unusable(object_type, said, NO_QUERY)
    text = said[where[0].start : where[-1].end] if where else ""
    return ViewTerms(object_type, scope, text, _fingerprint(object_type, scope, *(token.text for token in where)))


def gone(object_type: str) -> ViewTerms:
    """Returns the terms of a list view that is not there."""
    return _unusable(object_type, None, GONE)


def _unusable(object_type: str, said: object, why: str, scope: str = "") -> ViewTerms:
    return ViewTerms(object_type, scope, "", _fingerprint(object_type, scope, str(said or "")), why_not=why)


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


# --- reading --------------------------------------------------------------------------------------------------------------
def _tokens(text: str) -> list[_Token] | None:
    """Returns the words of a query, None for a text with anything else in it, or with brackets that do not match."""
    found: list[_Token] = []
    at = depth = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return None
        depth -= match[0] == ")"
        if depth < 0:
            return None
        if match.lastgroup != "blank":
            found.append(_Token(str(match.lastgroup), match[0], at, match.end(), depth))
        depth += match[0] == "("
        at = match.end()
    return found if depth == 0 else None


def _is_clause(token: _Token) -> bool:
    return token.kind == "word" and token.depth == 0 and token.text.lower() in _CLAUSES


def _clauses(text: str) -> dict[str, list[_Token]] | None:
    """Returns what follows each clause's first word, in their order; None for what is no query, or says one twice."""
    tokens = _tokens(text)
    starts = [place for place, token in enumerate(tokens or ()) if _is_clause(token)]
    if not tokens or not starts or starts[0] != 0:
        return None
    ends = [*starts[1:], len(tokens)]
    clauses = {tokens[start].text.lower(): tokens[start + 1 : end] for start, end in zip(starts, ends, strict=True)}
    return clauses if len(clauses) == len(starts) else None


def _is_of(named: Sequence[_Token], object_type: str) -> bool:
    return len(named) == 1 and named[0].text.lower() == object_type.lower()


def _scope(using: Sequence[_Token] | None) -> str | None:
    """Returns the scope in lower case, that of all records where a query names none; None for what is no scope."""
    if using is None:
        return EVERYTHING
    is_scope = len(using) == 2 and using[0].text.lower() == "scope" and re.fullmatch(r"\w{1,40}", using[1].text, re.ASCII)
    return using[1].text.lower() if is_scope else None


# --- asking -----------------------------------------------------------------------------------------------------------------
def bracketed(terms: ViewTerms, object_type: str) -> str:
    """Returns the condition of a view in brackets that nothing in it can end, "" where it has none. Raises Rejected for
    terms that cannot be used, are of other records, or hold what is no condition: they may have been kept for long."""
    if not terms.is_usable:
        raise Rejected(terms.why_not, system=SYSTEM)
    tokens = _tokens(terms.where)
    is_sound = tokens is not None and not any(map(_is_clause, tokens)) and bool(tokens) == bool(terms.where)
    if terms.object_type != object_type or terms.scope not in (MINE, EVERYTHING) or not is_sound:
        raise Rejected(f"was asked for a list view by terms that are none: {terms.where[:80]!r}", system=SYSTEM)
    return f"({terms.where})" if terms.where else ""


def parts(terms: ViewTerms, *, owners: Sequence[str] | None, ids: Sequence[str] | None, taken: int) -> Iterator[Condition]:
    """Yields the conditions, besides the view's own, of as few queries as a statement's length allows; `taken` of its
    characters are used already. None at all where nobody, or nothing, is asked for. Raises ValueError for a view of
    users' own records without users."""
    if terms.scope == MINE and owners is None:
        raise ValueError("a view of users' own records is of nobody unless it is told of whom")
    wanted = [("OwnerId", owners if terms.scope == MINE else None, LONGEST_STATEMENT), ("Id", ids, MOST_IDS)]
    lists = [(name, query.askable(name, values), most) for name, values, most in wanted if values is not None]
    room = (LONGEST_STATEMENT - RESERVED - taken - len(terms.where)) // max(1, len(lists))
    yield from _products([(name, list(query.chunks(values, most, room))) for name, values, most in lists])


def _products(lists: Sequence[tuple[str, list[list[str]]]]) -> Iterator[Condition]:
    """Yields a condition for each choice of one part from every list."""
    if not lists:
        yield All(())
        return
    name, chunks = lists[0]
    for rest in _products(lists[1:]):
        yield from (All((Test(name, Op.IN, tuple(chunk)), rest)) for chunk in chunks)
