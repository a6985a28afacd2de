"""Since when activities are carried: from the moment of switching on (D27), or from an earlier one that an admin chooses."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from reconciliation.engine import activity_terms
from reconciliation.models import Activity, ActivityFeed, SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused

OPEN = (Activity.State.WAITING, Activity.State.REFUSED)
START_AGAIN = {"sweep_started_at": None, "position_at": None, "position_id": "", "sweep_is_full": False}


def activities_begin(sync_pass: SyncPass, now: datetime) -> None:
    """Lets a pass over activities begin with the moment of switching on, unless a person chose another one. Other passes are left
    alone."""
    if sync_pass.is_of_activities and not activity_terms.is_chosen(sync_pass):
        _begin_from(sync_pass, now, chosen=False)


def activities_begin_from(sync_pass: SyncPass, at: datetime, user: AbstractBaseUser) -> None:
    """Carries what was done from this moment on, also what earlier runs left out; nothing is made twice. Raises
    DecisionRefused for a moment that is still to come."""
    if at > timezone.now():
        raise DecisionRefused("Activities of a day that is still to come cannot be asked for. Nothing was saved.")
    before = activity_terms.begins_at(sync_pass)
    _begin_from(sync_pass, at, chosen=True)
    audit(user, "carry activities from", sync_pass.title, before=before.isoformat(), after=at.isoformat())


@transaction.atomic
def _begin_from(sync_pass: SyncPass, at: datetime, *, chosen: bool) -> None:
    row = SyncPass.objects.select_for_update().get(pk=sync_pass.pk)
    row.settings = {**row.settings, **activity_terms.setting(at, chosen=chosen)}
    SyncPass.objects.filter(pk=row.pk).update(settings=row.settings, last_run_time=at)
    ActivityFeed.objects.filter(sync_pass=row).update(**START_AGAIN, last_run_time=at)


def open_activities(sync_pass: SyncPass) -> QuerySet[Activity]:
    """Returns the activities that are not in the CRM, the latest known first."""
    rows = Activity.objects.filter(sync_pass=sync_pass, state__in=OPEN)
    return rows.select_related("sync_pass__crm", "sync_pass__peer").order_by("-pk")
