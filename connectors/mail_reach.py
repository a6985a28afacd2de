"""What a round over a mailbox's mails tells of, beside what lies in our folder or bears our label."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

MARKS_ALONE, THREADS, EVERYTHING = "marks", "threads", "everything"  # how far a round reaches
REACHES = (MARKS_ALONE, THREADS, EVERYTHING)


@dataclass(slots=True)
class Wanted:
    """What is asked for. `category` shares a mail, "" where there is none."""

    category: str = ""
    threads: Collection[str] = frozenset()
    is_everything: bool = False

    @property
    def reach(self) -> str:
        if self.is_everything:
            return EVERYTHING
        return THREADS if self.threads else MARKS_ALONE
