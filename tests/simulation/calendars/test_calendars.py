"""The pass over calendars against seeded histories, and the suite against seeded defects.

One seed again, with its story: SEED=123 SYSTEM=google pytest tests/simulation/calendars -k one_seed -s   (DEFECT=takes_private_up to
add one)
Seeds that no commit runs: SEEDS=2000-2400 SYSTEM=google pytest tests/simulation/calendars -k every_history
"""

import pytest

from tests.simulation.calendars.defects import DEFECTS, SWITCHES
from tests.simulation.calendars.play import play, tell
from tests.simulation.suite import Suite

SUITE = Suite("calendars", play, tell, DEFECTS, SWITCHES, at_each_change=150)

# What they run is counted by the other tests; counting here would take two thirds more time.
pytestmark = [pytest.mark.django_db, pytest.mark.no_cover]


@pytest.mark.parametrize("system", SUITE.systems)
@pytest.mark.parametrize("first", SUITE.firsts)
def test_every_history_of_calendars_ends_with_all_invariants_held(system, first):
    broken = SUITE.broken(first, system)

    assert not broken, SUITE.again(broken, system)


@pytest.mark.parametrize("defect", SUITE.every_defect)
def test_a_seeded_defect_of_calendars_breaks_an_invariant(defect, monkeypatch):
    assert SUITE.noticed(defect, monkeypatch) is not None, f"no history noticed {defect}"


def test_the_same_seed_tells_the_same_story():
    assert tell(7, "google") == tell(7, "google")


def test_one_seed(monkeypatch):
    story, defect = SUITE.one_again(monkeypatch)

    print(story)
    assert story.endswith("nothing") or defect
