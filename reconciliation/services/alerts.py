"""What people set about being told: each for himself, and admins for the chat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from connectors.errors import NeedsAttention
from connectors.http import refuse_address
from connectors.sockets import Reach
from reconciliation.core import messages
from reconciliation.engine.outbox import Said, deliver
from reconciliation.models import ChatHook, Message, Policy, Subscription
from reconciliation.services.alert_watch import KINDS, link_to
from reconciliation.services.audit import audit

MOST_OPEN = 10_000
LEAST_SECRET = 16
TRIALS_APART = timedelta(seconds=20)


class AlertsRefused(ValueError):
    """A value that cannot be; the sentence says why. Nothing was saved."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to be told."""

    kinds: tuple[str, ...]
    queue_limit: int
    address: str = ""
    digest_at: time | None = None


def subscription_of(user: AbstractBaseUser) -> Subscription:
    """Returns what the person is subscribed to; one who never chose gets a proposal that is not saved."""
    row = Subscription.objects.filter(user_id=user.pk).first()
    return row or Subscription(user_id=user.pk, address=getattr(user, "email", ""), kinds=list(KINDS))


def subscription_save(user: AbstractBaseUser, wanted: Wanted) -> Subscription:
    """Stores what the person wants to be told. Raises AlertsRefused."""
    _check(wanted)
    address = wanted.address.strip()
    if wanted.kinds or wanted.digest_at or address:
        try:
            validate_email(address)
        except ValidationError:
            raise AlertsRefused("The address is no e-mail address.") from None
    before = Subscription.objects.filter(user_id=user.pk).first()
    values = {"address": address, "kinds": list(wanted.kinds), "queue_limit": wanted.queue_limit, "digest_at": wanted.digest_at}
    here = timezone.localtime()
    if wanted.digest_at and (before is None or before.digest_at != wanted.digest_at):
        # A time that is over today begins tomorrow.
        values["digest_sent_on"] = here.date() if wanted.digest_at <= here.time() else None
    row, _ = Subscription.objects.update_or_create(user_id=user.pk, defaults=values)
    names = ("address", "kinds", "queue_limit", "digest_at")
    changed = {n: [_plain(getattr(before, n)) if before else None, _plain(values[n])] for n in names}
    audit(user, "change alerts", user.get_username(), **{n: both for n, both in changed.items() if both[0] != both[1]})
    return row


def _plain(value: object) -> object:
    return value.isoformat(timespec="minutes") if isinstance(value, time) else value


def _check(wanted: Wanted) -> None:
    if not set(wanted.kinds) <= set(KINDS):
        raise AlertsRefused("There is no such alert.")
    if not 0 <= wanted.queue_limit <= MOST_OPEN:
        raise AlertsRefused(f"The number of open cases must lie between 0 and {MOST_OPEN:,}.")


def chat_hook() -> ChatHook:
    """Returns the chat that is told, or a row that is not saved."""
    return ChatHook.objects.filter(pk=1).first() or ChatHook(kinds=list(KINDS))


@transaction.atomic
def chat_hook_save(wanted: Wanted, *, address: str, secret: str, is_on: bool, by: AbstractBaseUser) -> ChatHook:
    """Stores the chat's webhook. A blank address or secret keeps its value; a new host needs a new secret. Raises
    AlertsRefused."""
    _check(wanted)
    Policy.lock()  # a secret that somebody enters at this moment must not be put back
    row = chat_hook()
    before = {"host": row.host, "kinds": row.kinds, "queue_limit": row.queue_limit, "is_on": row.is_on}
    address, secret = address.strip(), secret.strip()
    if not address and not row.secrets.get("address"):
        raise AlertsRefused("The webhook needs an address.")
    host = check_webhook(address) if address else row.host
    if secret and len(secret) < LEAST_SECRET:
        raise AlertsRefused(f"The secret needs at least {LEAST_SECRET} characters.")
    if not secret and (host != row.host or not row.secrets.get("secret")):
        raise AlertsRefused("Enter the secret that messages are signed with, too; it is never used for a host it was not given for.")
    row.host, row.kinds, row.queue_limit, row.is_on = host, list(wanted.kinds), wanted.queue_limit, is_on
    given = {name: value for name, value in (("address", address), ("secret", secret)) if value}
    row.secrets = {**row.secrets, **given}
    row.save()
    changed = {n: [old, getattr(row, n)] for n, old in before.items() if old != getattr(row, n)}
    audit(by, "change chat webhook", host, **changed, **({"secrets_replaced": sorted(given)} if given else {}))
    return row


def check_webhook(address: str) -> str:
    """Returns the host of a webhook's address. Raises AlertsRefused for one that is not https, leads to a private
    address, hides where it leads, or is not on the list of WEBHOOK_HOSTS. Where its name leads is seen when it is used."""
    try:
        parts = urlsplit(address)
        origin = f"{parts.scheme}://{parts.netloc}"
        refuse_address(origin, "chat", Reach(loopback=settings.ALLOW_LOOPBACK))
        rest = address[len(origin) :]
        if parts.fragment or any(c.isspace() or not c.isprintable() or c == "\\" for c in rest) or len(address) > 2000:
            raise AlertsRefused("The address is not a web address.")
    except NeedsAttention as error:
        raise AlertsRefused(f"The address: {error.detail}.") from None
    except AlertsRefused:
        raise
    except ValueError:
        raise AlertsRefused("The address is not a web address.") from None
    host = (parts.hostname or "").lower().rstrip(".")
    names = settings.WEBHOOK_HOSTS
    if names and not any(host.endswith(n[1:]) if n.startswith("*.") else host == n for n in names):
        raise AlertsRefused(f"Webhooks may be at {', '.join(names)}. Another host must be allowed first, with the setting WEBHOOK_HOSTS.")
    return host


def trial_mail(user: AbstractBaseUser) -> Said:
    """Sends a test message to the person's address now, and returns what the mail server said."""
    row = Subscription.objects.filter(user_id=user.pk).first()
    if row is None or not row.address:
        return Said(False, "Save your address first.")
    return _trial(user, Message(user_id=user.pk, address=row.address))


def trial_chat(user: AbstractBaseUser) -> Said:
    """Posts a test message to the chat now, and returns what it said."""
    return _trial(user, Message())


def _trial(user: AbstractBaseUser, message: Message) -> Said:
    now = timezone.now()
    if Message.objects.filter(what=Message.What.TRIAL, user_id=message.user_id, created_at__gt=now - TRIALS_APART).exists():
        return Said(False, "A test message went out a moment ago; wait half a minute for the next.")
    said = messages.trial(link=link_to(reverse("admin:index")), settings_link=link_to(reverse("admin:alerts")))
    message.what, message.subject, message.body = Message.What.TRIAL, said.subject, said.body
    message.created_at = message.next_try_at = now
    message.state, message.tries = Message.State.FAILED, 1  # until the answer is here; nobody else is to send it
    message.save()
    outcome = deliver(message)
    if outcome.is_sent:
        message.state, message.sent_at = Message.State.SENT, timezone.now()
    message.says = outcome.words[:300]
    message.save(update_fields=["state", "sent_at", "says"])
    audit(user, "send test message", "chat" if message.is_chat else "mail", is_sent=outcome.is_sent)
    return outcome
