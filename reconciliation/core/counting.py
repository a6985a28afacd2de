"""How a number of things is said: one form for one, another for all others. Pure."""

from __future__ import annotations


def counted(n: int, noun: str, many: str = "") -> str:
    """Returns "1 row", "0 rows", "1,200 rows"; `many` is the form for several, where that is not the noun with an s."""
    return f"{n:,} {noun if n == 1 else many or f'{noun}s'}"


def bent(n: int, one: str, many: str) -> str:
    """Returns the form of a verb or pronoun that goes with so many: bent(n, "is", "are")."""
    return one if n == 1 else many


def are(n: int, noun: str) -> str:
    """Returns "1 row is", "2 rows are"."""
    return f"{counted(n, noun)} {bent(n, 'is', 'are')}"
