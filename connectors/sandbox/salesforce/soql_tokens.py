"""The words of a query, and how Salesforce tells where one is wrong: the statement, a caret, row and column, the sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectors.sandbox.salesforce.refusal import Refused

LONGEST_STATEMENT = 100_000
LONGEST_STRING = 4000
SHOWN_BEFORE, SHOWN_AFTER = 60, 40  # characters of the statement around the place
_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d))
    |(?P<date>\d{4}-\d\d-\d\d)
    |(?P<number>[+-]?\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z]\w*(?::\d+)?)
    |(?P<mark><=|>=|!=|[=<>(),.])""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_ESCAPES = {"n": "\n", "N": "\n", "r": "\r", "R": "\r", "t": "\t", "T": "\t", "b": "\b", "B": "\b", "f": "\f", "F": "\f",
            '"': '"', "'": "'", "\\": "\\"}  # fmt: skip
_PIECE = re.compile(r"\\u[0-9A-Fa-f]{4}|\\.|[^\\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """One word. `kind` is string, datetime, date, number, word, mark or end; `at` is where it begins."""

    kind: str
    text: str
    at: int

    @property
    def word(self) -> str:
        """Returns a keyword in capitals, '' for what is no word."""
        return self.text.upper() if self.kind == "word" else ""


def refused(statement: str, at: int, code: str, sentence: str) -> Refused:
    """Returns the refusal of a query at a place in it."""
    row = statement.count("\n", 0, at) + 1
    column = at - (statement.rfind("\n", 0, at) + 1) + 1
    line_start, line_end = at - column + 1, statement.find("\n", at)
    line_end = len(statement) if line_end < 0 else line_end
    start, end = max(line_start, at - SHOWN_BEFORE), min(line_end, at + SHOWN_AFTER)
    message = f"\n{statement[start:end]}\n{' ' * (at - start)}^\nERROR at Row:{row}:Column:{column}\n{sentence}"
    return Refused(400, code, message)


def malformed(statement: str, at: int, sentence: str) -> Refused:
    return refused(statement, at, "MALFORMED_QUERY", sentence)


def unexpected(statement: str, token: Token) -> Refused:
    shown = "<EOF>" if token.kind == "end" else token.text[:80]
    return malformed(statement, token.at, f"unexpected token: '{shown}'")


def tokens(statement: str) -> list[Token]:
    """Returns the words of a statement, an `end` last. Raises Refused for what is none."""
    if len(statement) > LONGEST_STATEMENT:
        raise Refused(400, "MALFORMED_QUERY", f"SOQL statements cannot be longer than {LONGEST_STATEMENT} characters.")
    found = []
    at = 0
    while at < len(statement):
        match = _TOKEN.match(statement, at)
        if match is None:
            if statement[at] == "'":
                raise malformed(statement, at, "unexpected token: '<EOF>'")  # a quotation mark is missing
            raise malformed(statement, at, f"unexpected token: '{statement[at]}'")
        if match.lastgroup != "blank":
            found.append(Token(str(match.lastgroup), match.group(), at))
        at = match.end()
    return [*found, Token("end", "", len(statement))]


def read_string(statement: str, token: Token) -> str:
    """Returns what a quoted text says. Raises Refused for an escape that does not exist."""
    return "".join(text for _, text in _pieces(statement, token, ""))


def read_pattern(statement: str, token: Token) -> str:
    """Returns the regular expression of a LIKE text, where % and _ stand for others unless they are escaped."""
    parts = []
    for is_escaped, text in _pieces(statement, token, "_%"):
        if is_escaped or text not in "%_":
            parts.append(re.escape(text))
        else:
            parts.append(".*" if text == "%" else ".")
    return "".join(parts)


def _pieces(statement: str, token: Token, also: str) -> list[tuple[bool, str]]:
    """Returns (was escaped, character) of a quoted text; `also` may be escaped, too."""
    if len(token.text) - 2 > LONGEST_STRING:
        raise malformed(statement, token.at, f"String literals cannot be longer than {LONGEST_STRING} characters.")
    pieces = []
    for piece in _PIECE.findall(token.text[1:-1]):
        if piece[0] != "\\":
            pieces.append((False, piece))
        elif len(piece) == 6:
            pieces.append((True, chr(int(piece[2:], 16))))
        elif piece[1] in _ESCAPES or piece[1] in also:
            pieces.append((True, _ESCAPES.get(piece[1], piece[1])))
        else:
            told = f"Invalid string literal {token.text[:80]}. Illegal character sequence '{piece}' in string literal."
            raise malformed(statement, token.at, told)
    return pieces
