"""What users of the played Outreach did within the last days, for the demonstration. Deterministic from the world's seed."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.sandbox.world import World

NOTES = (
    "Sent the price list for next year.",
    "Wants a second quote with the larger pump.",
    "Asked to be called again in March.",
    "Introduced us to the head of operations.",
    "Has a question about delivery times.",
)
PEOPLE, STEP = 120, 3  # every third of the first prospects: some of them are nobody in Salesforce
DAYS = 9


def fill_activities(world: World) -> None:
    """Makes a task, a mail or a call for each of some prospects, in turn; four of five are done."""
    rng = random.Random(world.seed + 4)
    make = (_task, _mailing, _call)
    for n, prospect in enumerate(world.outreach.list_records("prospects")[:PEOPLE:STEP]):
        at = world.now() - timedelta(days=rng.randint(0, DAYS), seconds=rng.randint(60, 80_000))
        collection, values = make[n % len(make)](rng, prospect, at, is_done=n % 5 != 4)
        world.outreach.create_record(collection, {"prospect": prospect["id"], "updatedAt": at.isoformat(), **values})


def _task(rng: random.Random, prospect: dict[str, Any], at: datetime, *, is_done: bool) -> tuple[str, dict[str, Any]]:
    values = {"action": rng.choice(("action_item", "call", "in_person")), "note": rng.choice(NOTES), "owner": rng.choice((1, 2))}
    done = {"state": "complete", "completedAt": at.isoformat()}
    return "tasks", {**values, **(done if is_done else {})}


def _mailing(rng: random.Random, prospect: dict[str, Any], at: datetime, *, is_done: bool) -> tuple[str, dict[str, Any]]:
    note = rng.choice(NOTES)
    body = f"Dear {prospect['firstName']},\n\n{note}\n\nKind regards"
    done = {"state": rng.choice(("delivered", "opened", "replied")), "deliveredAt": at.isoformat()}
    return "mailings", {"subject": note.rstrip("."), "bodyText": body, "user": rng.choice((1, 2)), **(done if is_done else {})}


def _call(rng: random.Random, prospect: dict[str, Any], at: datetime, *, is_done: bool) -> tuple[str, dict[str, Any]]:
    values = {"direction": "outbound", "note": rng.choice(NOTES), "user": rng.choice((1, 2)), "dialedAt": at.isoformat()}
    answered = at + timedelta(seconds=20)
    ended = answered + timedelta(seconds=rng.randint(30, 900))
    done = {"outcome": "Answered", "answeredAt": answered.isoformat(), "completedAt": ended.isoformat()}
    return "calls", {**values, **(done if is_done else {"outcome": "Not Answered"})}
