"""Thresholds of the brakes (engine-rules 18)."""

import pytest

from reconciliation.core.brakes import BrakeSettings, blanking_trips, deletions_trip

SETTINGS = BrakeSettings()


@pytest.mark.parametrize(
    ("blanked", "bound", "trips"),
    [(50, 100, False), (51, 100, True), (51, 199, True), (60, 200, False), (61, 200, True), (300, 1000, False), (301, 1000, True)],
)
def test_blanking_more_than_fifty_or_thirty_percent_trips(blanked, bound, trips):
    assert bool(blanking_trips({"website": blanked}, bound, (), SETTINGS)) is trips


def test_an_approved_field_passes():
    assert blanking_trips({"website": 900, "name": 900}, 1000, ("website",), SETTINGS) == ("name",)


@pytest.mark.parametrize(("deletions", "bound", "trips"), [(10, 100, False), (11, 100, True), (50, 1000, False), (51, 1000, True)])
def test_deleting_more_than_ten_or_five_percent_trips(deletions, bound, trips):
    assert deletions_trip(deletions, bound, SETTINGS) is trips
