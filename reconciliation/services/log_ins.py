"""Log-ins as the audit log sees them, and the lock after too many wrong ones."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_client_ip_address
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ValidationError
from django.db.models import Max, Sum
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from reconciliation.services.audit import audit
from reconciliation.services.duplicates import DecisionRefused

MOST_SHOWN = 200
# Who sends the request this thread answers: a password says whose it is, never who changed it.
acting: ContextVar[AbstractBaseUser | None] = ContextVar("acting", default=None)


@dataclass(frozen=True, slots=True)
class Lock:
    """A name that is refused from one address until `ends_at`."""

    username: str
    address: str
    failures: int
    ends_at: datetime


def locks() -> list[Lock]:
    """Returns who is locked out now, the latest first."""
    rows = (
        AccessAttempt.objects.filter(attempt_time__gt=timezone.now() - settings.AXES_COOLOFF_TIME)
        .values("username", "ip_address")
        .annotate(failures=Sum("failures_since_start"), last=Max("attempt_time"))
        .filter(failures__gte=settings.AXES_FAILURE_LIMIT)
        .order_by("-last")[:MOST_SHOWN]
    )
    return [Lock(row["username"] or "", row["ip_address"] or "", row["failures"], row["last"] + settings.AXES_COOLOFF_TIME) for row in rows]


def lock_ends_at(username: str, address: str | None) -> datetime:
    """Returns when the name may try again from the address."""
    last = AccessAttempt.objects.filter(username=username, ip_address=address or None).aggregate(last=Max("attempt_time"))["last"]
    return (last or timezone.now()) + settings.AXES_COOLOFF_TIME


def log_in_unlock(actor: AbstractBaseUser, username: str) -> None:
    """Forgets the wrong log-ins of a name, wherever they came from."""
    if not username or not AxesProxyHandler.reset_attempts(username=username):
        raise DecisionRefused("That name is not locked any more.")
    audit(actor, "unlock log-in", username)


def _address(request: HttpRequest | None) -> str:
    """Where the request came from; "" for a session a program made (a command, a test), which nobody logged in to."""
    return str(get_client_ip_address(request) or "") if request is not None else ""


@receiver(user_logged_in)
def _logged_in(*, request: HttpRequest, user: AbstractBaseUser, **_: Any) -> None:
    if address := _address(request):
        audit(user, "log in", user.get_username(), address=address, second_factor=getattr(user, "otp_device", None) is not None)


@receiver(user_logged_out)
def _logged_out(*, request: HttpRequest, user: AbstractBaseUser | None, **_: Any) -> None:
    if user is not None and (address := _address(request)):
        audit(user, "log out", user.get_username(), address=address)


class RecordedHandler(AxesDatabaseHandler):
    """What axes does on `user_login_failed`, with a row in the audit log for the failure and for the lock it leads to.
    What is refused during a lock adds none: a stranger could fill the log."""

    def user_login_failed(self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **more: Any) -> None:
        was_locked = request is None or request.axes_locked_out  # type: ignore[attr-defined]
        name = _name_to_keep(str(credentials.get("username") or ""))
        if not was_locked:
            audit(None, "log-in failed", name, address=_address(request))
        super().user_login_failed(sender, credentials, request, **more)
        if not was_locked and request.axes_locked_out:  # type: ignore[union-attr]
            audit(None, "log-in locked", name, address=_address(request), minutes=settings.LOGIN_LOCK_MINUTES)


def _name_to_keep(name: str) -> str:
    """A name nobody has is not written down: people type passwords into that field."""
    return name if User.objects.filter(username=name).exists() else "a name nobody has"


OUR_WORDS = ("syncsite", "workbooks", "outreach")


class NoWordsOfOurs:
    """Refuses passwords built around the names everybody here would try first."""

    def validate(self, password: str, user: Any = None) -> None:
        if any(word in password.casefold() for word in OUR_WORDS):
            raise ValidationError(self.get_help_text(), code="our_words")

    def get_help_text(self) -> str:
        return "Your password can’t contain the names of the systems it protects (Syncsite, Workbooks, Outreach)."


class PasswordChangesAreAudited:
    """A password validator that refuses nothing: Django tells validators of every change, whoever makes it."""

    def validate(self, password: str, user: Any = None) -> None:
        return None

    def get_help_text(self) -> str:
        return ""

    def password_changed(self, password: str, user: Any = None) -> None:
        if user is not None and user.pk:
            audit(acting.get(), "change password", user.get_username())
