"""What was read in a mail, how sure it is, and by what. Pure."""

from __future__ import annotations

from dataclasses import dataclass

CERTAIN = 0.8  # from here on a value may be used; what is below is for a person to look at (S4.32: nothing uncertain goes in)
SURE, LIKELY, DOUBTFUL = 0.95, 0.85, 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """One value: how sure it is from 0 to 1, the line that it stands in, and why it is taken for what it is, in words."""

    value: str
    confidence: float
    line: str
    why: str

    @property
    def is_certain(self) -> bool:
        return self.confidence >= CERTAIN


def best(findings: list[Finding]) -> Finding | None:
    """Returns the surest finding, of equal ones the first; None of none."""
    return max(findings, key=lambda found: found.confidence, default=None)
