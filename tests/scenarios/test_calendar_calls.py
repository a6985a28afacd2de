"""What runs over calendars and tasks cost on the wire (engine-rules 39, acceptance 5): one call for each side where nothing changed, and
beside the least that is possible at most a twentieth more. Counted in the played systems."""

import math

import pytest

from tests.calendars import calendars
from tests.to_dos import to_dos

pytestmark = pytest.mark.django_db
PARTS = {"microsoft": 20, "google": 1}  # writes that one call takes
READS = {"microsoft": 20, "google": 50}
UPDATES, CREATES = 24, 200  # of Salesforce
RATIO = 1.05


def made(system, n, kind):
    box = kind(system)
    box.world.salesforce.set_switches({"page_size": 2000})
    start = [enter(box, f"Old {i}", i) for i in range(n)]
    there = [there_(box, f"Down {i}", i) for i in range(n)]
    box.run()
    box.run()
    box.calls()
    return box, start, there


def enter(box, title, i):
    return box.note(title) if hasattr(box, "note") else box.enter(title, box.at(1 + i % 50, 8 + i % 10))


def there_(box, title, i):
    return box.task(title) if hasattr(box, "task") else box.event(title, box.at(1 + i % 50, 8 + i % 10))


def change_here(box, id_, title):
    if hasattr(box, "amend"):
        box.amend(id_, title=title)
    else:
        box.alter(id_, subject=title)


def change_there(box, id_, title):
    (box.edit_task if hasattr(box, "edit_task") else box.edit_event)(id_, Subject=title)


def cost(box):
    run = box.run()
    assert run.state == "finished" and run.failed == 0 and run.held == 0, (run.note, box.events())
    return box.calls()


@pytest.mark.parametrize("kind", [calendars, to_dos])
@pytest.mark.parametrize("system", ["microsoft", "google", "exchange"])
def test_a_run_over_a_mailbox_at_rest_costs_one_call_a_side(system, kind):
    box, _, _ = made(system, 3, kind)
    spent = cost(box)
    lists = 3 if kind is to_dos and system == "google" else 1  # Google tells of the tasks of each list by itself, and of the lists
    assert spent == {"salesforce": 1, system: lists}


@pytest.mark.parametrize("n", [1, 20, 60])
@pytest.mark.parametrize("system", ["microsoft", "google"])
def test_changes_cost_what_they_must(system, n):
    """A change costs its list, the counterparts and the write; Salesforce reads what it wrote, since others may have written meanwhile."""
    box, here, there = made(system, n * 3, calendars)  # a third of them: more at once would wait for a person
    for i, event in enumerate(here[:n]):
        change_here(box, event, f"Here {i}")
    spent = cost(box)
    reads, writes = 1, math.ceil(n / UPDATES)
    least = {"salesforce": 1 + reads + writes, system: 1}
    assert sum(spent.values()) <= math.ceil(sum(least.values()) * RATIO) and spent[system] == 1, (spent, least)

    for i, event in enumerate(there[:n]):
        change_there(box, event, f"There {i}")
    spent = cost(box)
    least = {"salesforce": 1, system: 1 + math.ceil(n / READS[system]) + math.ceil(n / PARTS[system])}
    assert sum(spent.values()) <= math.ceil(sum(least.values()) * RATIO), (spent, least)


@pytest.mark.parametrize("n", [1, 20, 60])
@pytest.mark.parametrize("system", ["microsoft", "google"])
def test_new_items_cost_what_they_must(system, n):
    """What is new is asked for by its key, once for all, before it is made: a colleague's mailbox may have made it."""
    box, _, _ = made(system, 2, calendars)
    for i in range(n):
        enter(box, f"New {i}", i)
    spent = cost(box)
    least = {"salesforce": 1 + 1 + 2 * math.ceil(n / CREATES), system: 1}
    assert sum(spent.values()) <= math.ceil(sum(least.values()) * RATIO), (spent, least)

    for i in range(n):
        there_(box, f"New there {i}", i)
    spent = cost(box)
    least = {"salesforce": 1, system: 1 + math.ceil(n / PARTS[system])}
    assert sum(spent.values()) <= math.ceil(sum(least.values()) * RATIO), (spent, least)
