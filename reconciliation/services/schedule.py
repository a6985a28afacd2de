"""What an admin may set of a pass: on or off, interval, time budget, thresholds of its brakes."""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from reconciliation.models import Run, SyncPass
from reconciliation.services.audit import audit

LEAST_INTERVAL, MOST_INTERVAL = 60, 86_400
LEAST_BUDGET, MOST_BUDGET = 5, 1_200


class ScheduleRefused(ValueError):
    """A value out of its bounds; the sentence says which."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The settings of a pass that staff change."""

    is_on: bool
    interval_seconds: int
    time_budget_seconds: int
    full_every_days: int
    blanking_count: int
    blanking_percent: int


def schedule_of(sync_pass: SyncPass) -> Schedule:
    """Returns the present settings, with the shipped thresholds where nothing was set."""
    brakes = sync_pass.settings.get("brakes", {})
    percent = round(100 * brakes.get("blanking_share", 0.30))
    return Schedule(
        sync_pass.is_on,
        sync_pass.interval_seconds,
        sync_pass.time_budget_seconds,
        sync_pass.full_every_days,
        brakes.get("blanking_count", 50),
        percent,
    )


def schedule_set(sync_pass: SyncPass, wanted: Schedule, by: AbstractBaseUser | None = None) -> None:
    """Stores the settings. Raises ScheduleRefused, storing nothing."""
    _within("The interval", wanted.interval_seconds, LEAST_INTERVAL, MOST_INTERVAL, "seconds")
    _within("The time budget", wanted.time_budget_seconds, LEAST_BUDGET, MOST_BUDGET, "seconds")
    _within("The days between full comparisons", wanted.full_every_days, 0, 365, "days")
    _within("The count of blanked records", wanted.blanking_count, 0, 1_000_000, "records")
    _within("The share of blanked records", wanted.blanking_percent, 0, 100, "percent")
    before = schedule_of(sync_pass)
    if wanted.is_on and not before.is_on and not sync_pass.crm.settings.get("database_id"):
        raise ScheduleRefused(f"Test “{sync_pass.crm}” first: the keys of accounts carry its database id, which is not known yet.")
    brakes = {"blanking_count": wanted.blanking_count, "blanking_share": wanted.blanking_percent / 100}
    SyncPass.objects.filter(pk=sync_pass.pk).update(
        is_on=wanted.is_on,
        interval_seconds=wanted.interval_seconds,
        time_budget_seconds=wanted.time_budget_seconds,
        full_every_days=wanted.full_every_days,
        **_first_switch_on(sync_pass, before, wanted),
        settings={**sync_pass.settings, "brakes": {**sync_pass.settings.get("brakes", {}), **brakes}},
    )
    changes = {f.name: [getattr(before, f.name), getattr(wanted, f.name)] for f in fields(Schedule)}
    audit(by, "change schedule", sync_pass.title, **{n: both for n, both in changes.items() if both[0] != both[1]})


def _first_switch_on(sync_pass: SyncPass, before: Schedule, wanted: Schedule) -> dict[str, object]:
    """Returns what switching on for the first time sets: Last Run Time is that moment (D27), so that organisations which
    have an Id already wait until somebody edits them. Later it stays, and what was edited meanwhile is caught up."""
    is_first = wanted.is_on and not before.is_on and not Run.objects.filter(sync_pass=sync_pass).exclude(kind=Run.Kind.PREVIEW).exists()
    return {"last_run_time": timezone.now().replace(microsecond=0)} if is_first else {}


def _within(what: str, value: int, least: int, most: int, unit: str) -> None:
    if not least <= value <= most:
        raise ScheduleRefused(f"{what} must lie between {least:,} and {most:,} {unit}.")
