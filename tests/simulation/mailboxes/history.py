"""What happens in one history, all of it drawn from its seed before anything runs: who does what between which runs, how bad
the wire is, where the process dies. Who exactly is meant is a lot, drawn among those who are there when it happens."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.troubles import Act, Round, act_of, trouble_of

FORMS = ("gone", "gone_with_location", "not_found", "bad_request")  # how Microsoft says that a cursor is dead
# What users do, with its weight. The first word says where: in Salesforce, in a mailbox, with its settings.
ACTS: tuple[tuple[str, float], ...] = (
    ("crm_add", 5), ("crm_edit", 8), ("crm_blank", 1), ("crm_delete", 1.5), ("crm_merge", 1.2), ("crm_owner", 3), ("crm_buyer", 2),
    ("crm_twin", 1), ("crm_restore", 0.7), ("both_edit", 4),
    ("box_add_inside", 4), ("box_add_twin", 1.5), ("box_add_personal", 2), ("box_edit", 8), ("box_blank", 1), ("box_edit_personal", 2),
    ("box_drag_in", 2.5), ("box_drag_out", 1.5), ("box_take_out", 2), ("box_mark", 2.5), ("box_unmark", 1.5), ("box_own_category", 1),
    ("box_drop", 3), ("box_purge", 1), ("box_drop_personal", 0.5), ("box_copy", 0.8), ("box_rename_folder", 0.4),
    ("box_second_folder", 0.5), ("box_drop_folder", 0.6), ("box_empty", 0.5),
    ("set_view", 2), ("set_deletion", 1.5), ("set_out_of_view", 0.8),
    ("wire_dead_cursor", 1.2),
)  # fmt: skip
MOODS = ("delta_replays", "delta_duplicates", "delta_shuffles")  # of Microsoft's lists of changes


@dataclass(frozen=True, slots=True)
class History:
    """One history: what is there at its start, and its rounds."""

    seed: int
    system: str
    contacts: int
    personal: int
    settings: tuple[dict[str, str], ...]  # of each mailbox
    page_size: int
    moods: dict[str, Any]
    rounds: tuple[Round, ...] = field(default=())


def history(seed: int, system: str) -> History:
    """Returns the history of a seed."""
    rng = random.Random(f"{system} {seed}")
    is_crowded = rng.random() < 0.08  # enough of them for the brakes
    return History(
        seed=seed,
        system=system,
        contacts=rng.randint(12, 15) if is_crowded else rng.randint(1, 5),
        personal=rng.randint(1, 2),
        settings=tuple(_settings(rng) for _ in range(2)),
        page_size=rng.choice((1, 2, 5, 50)) if not is_crowded else rng.choice((5, 50)),
        moods={mood: rng.random() < 0.3 for mood in MOODS} if system == "microsoft" else {},
        rounds=tuple(_round(rng, is_crowded=is_crowded) for _ in range(rng.randint(2, 4))),
    )


def _settings(rng: random.Random) -> dict[str, str]:
    return {
        "view": rng.choice(("mine", "everything", "everything", "saved")),
        "deletion": rng.choice(("forbidden", "allowed")),
        "out_of_view": rng.choice(("keep", "remove")),
    }


def _round(rng: random.Random, *, is_crowded: bool) -> Round:
    acts = tuple(act_of(rng, ACTS) for _ in range(rng.choice((1, 2, 3, 4, 5))))
    if is_crowded and rng.random() < 0.4:
        acts += (Act(rng.choice(("box_empty", "box_drop_folder", "crm_empty", "box_empty")), rng.randrange(2), rng.getrandbits(32)),)
    return Round(
        acts=acts,
        boxes=rng.choice(((0,), (1,), (0, 1), (0, 1), (1, 0), (1, 0))),
        trouble=trouble_of(rng),
        pause=rng.choice((5.0, 90.0, 1800.0, 1800.0)),
        is_full=rng.random() < 0.05,
        approves=rng.random() < 0.5,
    )
