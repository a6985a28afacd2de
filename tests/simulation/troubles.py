"""What histories of passes over mailboxes are made of: what users do, how runs go wrong, and rounds of both."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

FAULTS = (0.0, 0.0, 0.1, 0.25, 0.4)  # shares of the calls of a run that fail


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that one user does; `box` is whose mailbox, `lot` what chance decides in it."""

    name: str
    box: int
    lot: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """How a run goes wrong: the share of its calls that fail; at which of its calls, or statements of the database, the
    process dies; how long it may go on (seconds, None: as long as it likes)."""

    faults: float = 0.0
    acts: float = 0.0  # share of calls during which a user acts
    dies: str = ""  # before, after (a call), statement
    at: int = 0
    budget: float | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """What users do, and then the runs over some of the mailboxes."""

    acts: tuple[Act, ...]
    boxes: tuple[int, ...]
    trouble: Trouble
    pause: float  # seconds before the runs
    is_full: bool = False
    approves: bool = False  # a person who finds a plan held by a brake lets it go ahead


def act_of(rng: random.Random, acts: Sequence[tuple[str, float]]) -> Act:
    name = rng.choices([name for name, _ in acts], [weight for _, weight in acts])[0]
    return Act(name, rng.randrange(2), rng.getrandbits(32))


def trouble_of(rng: random.Random) -> Trouble:
    dies = rng.choice(("", "", "", "before", "after", "after", "statement"))
    return Trouble(
        faults=rng.choice(FAULTS),
        acts=rng.choice((0.0, 0.0, 0.03, 0.08)),
        dies=dies,
        at=rng.randint(1, 14) if dies != "statement" else rng.randint(5, 200),
        budget=0.0 if rng.random() < 0.1 else None,
    )
