"""Who sits on a case: presence, so that two people do not decide at once, and the colleagues it can be given to."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth.models import AbstractBaseUser, User
from django.db.models import Q, QuerySet
from django.utils import timezone

from reconciliation.models import Case

PRESENT_FOR = timedelta(seconds=90)


def sit_down(case: Case, user: AbstractBaseUser) -> str:
    """Notes that a person has the case open, unless somebody else has, and returns that other one's name or ""."""
    now = timezone.now()
    free = Q(open_by__isnull=True) | Q(open_by=user) | Q(open_at__lt=now - PRESENT_FOR)
    if Case.objects.filter(free, pk=case.pk).update(open_by=user, open_at=now):
        return ""
    other = Case.objects.select_related("open_by").get(pk=case.pk).open_by
    return str(other) if other is not None else ""


def present(case: Case, user: AbstractBaseUser) -> str:
    """Returns who else has the case open just now, "" when nobody has."""
    is_there = case.open_by_id is not None and case.open_by_id != user.pk and case.open_at is not None
    return str(case.open_by) if is_there and timezone.now() - case.open_at < PRESENT_FOR else ""


def colleagues() -> QuerySet[User]:
    """Returns the people who may work queues, by name."""
    may = Q(is_superuser=True) | Q(groups__permissions__codename="work_queues") | Q(user_permissions__codename="work_queues")
    return User.objects.filter(may, is_active=True).distinct().order_by("username")


def put_off(case: Case, note: str, assign_to: AbstractBaseUser | None = None) -> bool:
    """Keeps an open case open with a note, for a colleague if one is named; False when it was closed meanwhile."""
    return bool(Case.objects.filter(pk=case.pk, state=Case.State.OPEN).update(note=note, assigned_to=assign_to))
