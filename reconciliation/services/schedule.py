"""What an admin may set of a pass: on or off, interval, time budget, thresholds of its brakes."""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from reconciliation.engine import mailbox_queue
from reconciliation.models import SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.switch_on import SwitchRefused, pass_switch_off, pass_switch_on

LEAST_INTERVAL, MOST_INTERVAL = 60, 86_400
LEAST_TWO_WAY = 120  # each run of a two-way pass asks the peer what changed
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


def schedule_check(wanted: Schedule, *, least: int = LEAST_INTERVAL) -> None:
    """Raises ScheduleRefused when a value lies out of its bounds."""
    _within("The interval", wanted.interval_seconds, least, MOST_INTERVAL, "seconds")
    _within("The time budget", wanted.time_budget_seconds, LEAST_BUDGET, MOST_BUDGET, "seconds")
    _within("The days between full comparisons", wanted.full_every_days, 0, 365, "days")
    _within("The count of blanked records", wanted.blanking_count, 0, 1_000_000, "records")
    _within("The share of blanked records", wanted.blanking_percent, 0, 100, "percent")


def schedule_set(sync_pass: SyncPass, wanted: Schedule, by: AbstractBaseUser | None = None) -> None:
    """Stores the settings. Raises ScheduleRefused, storing nothing."""
    schedule_check(wanted, least=LEAST_TWO_WAY if sync_pass.record_types.exists() else LEAST_INTERVAL)
    before = schedule_of(sync_pass)
    if wanted.is_on != before.is_on:
        try:
            (pass_switch_on if wanted.is_on else pass_switch_off)(sync_pass, by)
        except SwitchRefused as refusal:
            raise ScheduleRefused(str(refusal)) from None
    brakes = {"blanking_count": wanted.blanking_count, "blanking_share": wanted.blanking_percent / 100}
    with transaction.atomic():  # the fields of the plugin stand in the same column
        stored = SyncPass.objects.select_for_update().get(pk=sync_pass.pk).settings
        SyncPass.objects.filter(pk=sync_pass.pk).update(
            interval_seconds=wanted.interval_seconds,
            time_budget_seconds=wanted.time_budget_seconds,
            full_every_days=wanted.full_every_days,
            settings={**stored, "brakes": {**stored.get("brakes", {}), **brakes}},
        )
        if sync_pass.is_over_mailboxes:
            mailbox_queue.follow_all(SyncPass.objects.get(pk=sync_pass.pk), timezone.now())
    changes = {f.name: [getattr(before, f.name), getattr(wanted, f.name)] for f in fields(Schedule)}
    changed = {n: both for n, both in changes.items() if both[0] != both[1] and n != "is_on"}  # that has its own entry
    if changed:
        audit(by, "change schedule", sync_pass.title, **changed)


def _within(what: str, value: int, least: int, most: int, unit: str) -> None:
    if not least <= value <= most:
        raise ScheduleRefused(f"{what} must lie between {least:,} and {most:,} {unit}.")
