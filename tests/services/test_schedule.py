"""Settings of a pass that staff change, within bounds."""

from dataclasses import replace

import pytest

from reconciliation.core.brakes import BrakeSettings
from reconciliation.engine.brakes import settings_of
from reconciliation.services.schedule import ScheduleRefused, schedule_of, schedule_set
from tests.sandboxed import make

pytestmark = pytest.mark.django_db


def test_what_was_set_is_in_force():
    sync_pass = make().sync_pass
    schedule_set(sync_pass, replace(schedule_of(sync_pass), interval_seconds=300, blanking_count=7, blanking_percent=10))
    sync_pass.refresh_from_db()

    assert sync_pass.interval_seconds == 300
    assert settings_of(sync_pass) == BrakeSettings(blanking_count=7, blanking_share=0.10)


@pytest.mark.parametrize(
    "change", [{"interval_seconds": 59}, {"time_budget_seconds": 0}, {"blanking_percent": 101}, {"blanking_count": -1}]
)
def test_values_out_of_bounds_are_refused_with_the_bounds(change):
    sync_pass = make().sync_pass

    with pytest.raises(ScheduleRefused, match="must lie between"):
        schedule_set(sync_pass, replace(schedule_of(sync_pass), **change))
