"""What holds for prospects with the same e-mail address (S2.1 to S2.5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from reconciliation.models import Case, Policy
from reconciliation.selectors import bounded_count
from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused

NO_REMAP = (
    "Remapping is off: the setting “How do you want to handle prospect imports with the same email address?” says “Prevent multiple "
    "prospects with the same email”. An admin can change it. Nothing was done."
)


def allows_remap() -> bool:
    """Tells whether users may select the preferred CRM ID (S2.3)."""
    return Policy.objects.filter(pk=1, same_email=Policy.SameEmail.CHOOSE).exists()


def refuse_unless_remap(is_allowed: bool | None = None) -> None:
    """Raises DecisionRefused while remapping is off (S2.2, S2.5). `is_allowed`: the policy, where it was read already."""
    if not (allows_remap() if is_allowed is None else is_allowed):
        raise DecisionRefused(NO_REMAP)


class PolicyRefused(ValueError):
    """Nothing was saved; the sentence says why."""


@dataclass(frozen=True, slots=True)
class DedupePolicy:
    """The setting as it stands: the choice, who made it and when, and the open questions that depend on it."""

    choice: str
    by: str
    at: datetime | None
    open_remaps: str


def dedupe_policy() -> DedupePolicy:
    """Returns the setting; before anybody saved it, the default (S2.2)."""
    row = Policy.objects.filter(pk=1).first() or Policy()
    rows = Case.objects.filter(kind=Case.Kind.REMAP, state=Case.State.OPEN)
    return DedupePolicy(row.same_email, row.same_email_by, row.same_email_at, bounded_count(rows))


def policy_check(choice: str, seen: str) -> None:
    """Raises PolicyRefused for a choice that is none, and when somebody changed the setting since it was shown as `seen`."""
    if choice not in Policy.SameEmail.values:
        raise PolicyRefused("Choose one of the two options.")
    now = dedupe_policy()
    if now.choice != seen:
        word = Policy.SameEmail(now.choice).label
        raise PolicyRefused(f"{now.by or 'Somebody'} changed it meanwhile: it says “{word}” now. Look at it again.")


def policy_set(choice: str, seen: str, user: AbstractBaseUser) -> bool:
    """Saves the setting and returns whether that changed anything; it holds from the next import on (S2.4). Raises
    PolicyRefused."""
    with transaction.atomic():
        Policy.lock()
        policy_check(choice, seen)
        if choice == seen:
            return False
        Policy.objects.filter(pk=1).update(same_email=choice, same_email_by=user.get_username(), same_email_at=timezone.now())
        audit(user, "change dedupe policy", Policy.SameEmail(choice).label, before=seen, after=choice)
    return True
