"""What happens in one history of calendars, all of it drawn from its seed before anything runs. Who and what exactly is meant is a lot,
drawn among what is there when it happens."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.troubles import Act, Round, act_of, trouble_of

# What users do, with its weight. The first word says where: in Salesforce, in a mailbox, with its settings.
ACTS: tuple[tuple[str, float], ...] = (
    ("crm_add", 4), ("crm_add_days", 1), ("crm_add_far", 1), ("crm_edit", 6), ("crm_move", 3), ("crm_move_out", 0.7), ("crm_days", 0.7),
    ("crm_blank", 0.7), ("crm_show", 1), ("crm_delete", 2), ("crm_restore", 0.7), ("both_edit", 3),
    ("box_add", 4), ("box_add_days", 1), ("box_add_series", 3.5), ("box_add_meeting", 2), ("box_add_shared", 3), ("box_add_private", 1),
    ("box_add_far", 1), ("box_add_long", 0.3),
    ("box_edit", 6), ("box_move", 3.5), ("box_move_out", 1.2), ("box_move_in", 1.2), ("box_zone", 1), ("box_days", 1), ("box_blank", 0.7),
    ("box_show", 1), ("box_mark", 3), ("box_unmark", 2), ("box_private", 2.5), ("box_public", 2.5), ("box_invite", 1.5),
    ("box_uninvite", 1), ("box_answer", 2), ("box_drop", 3), ("box_cancel", 1),
    ("box_edit_one", 3), ("box_move_one", 2.5), ("box_drop_one", 2.5), ("box_move_series", 2.5), ("box_rename_series", 1.5),
    ("set_private", 0.8), ("set_deletion", 0.8), ("set_removal", 0.8), ("set_cancelled", 0.6),
    ("wire_days", 2), ("wire_dead_cursor", 1),
)  # fmt: skip
MOODS = ("delta_replays", "delta_duplicates", "delta_shuffles")  # of Microsoft's lists of changes


@dataclass(frozen=True, slots=True)
class History:
    """One history: what is there at its start, and its rounds."""

    seed: int
    system: str
    settings: tuple[dict[str, Any], ...]  # of each mailbox
    page_size: int
    moods: dict[str, Any]
    begins: tuple[Act, ...]
    rounds: tuple[Round, ...] = field(default=())


def history(seed: int, system: str) -> History:
    """Returns the history of a seed."""
    rng = random.Random(f"calendars {system} {seed}")
    return History(
        seed=seed,
        system=system,
        settings=tuple(_settings(rng, system) for _ in range(2)),
        page_size=rng.choice((1, 2, 5, 50)),
        moods=_moods(rng, system),
        begins=tuple(act_of(rng, [a for a in ACTS if "_add" in a[0]]) for _ in range(rng.randint(1, 4))),
        rounds=tuple(_round(rng) for _ in range(rng.randint(2, 4))),
    )


def _moods(rng: random.Random, system: str) -> dict[str, Any]:
    if system == "google":
        return {"empty_event_pages": rng.random() < 0.2, "guest_changes": rng.choice(("refuse", "local"))}
    moods: dict[str, Any] = {mood: rng.random() < 0.3 for mood in MOODS}
    return moods | {"tells_removed_occurrences": rng.random() < 0.5, "keeps_declined": rng.random() < 0.3}


def _settings(rng: random.Random, system: str) -> dict[str, Any]:
    return {
        "share_events": system == "google" or rng.random() < 0.3,
        "private_events": rng.choice(("skip", "skip", "busy", "full")),
        "cancelled_events": rng.choice(("remove", "keep")),
        "event_deletion": rng.choice(("unlink", "propagate", "restore")),
        "event_removal": rng.choice(("unlink", "propagate", "restore")),
    }


def _round(rng: random.Random) -> Round:
    return Round(
        acts=tuple(act_of(rng, ACTS) for _ in range(rng.choice((1, 2, 3, 4, 5)))),
        boxes=rng.choice(((0,), (1,), (0, 1), (0, 1), (1, 0), (1, 0))),
        trouble=trouble_of(rng),
        pause=rng.choice((5.0, 90.0, 1800.0, 1800.0)),
        is_full=rng.random() < 0.05,
        approves=rng.random() < 0.5,
    )
