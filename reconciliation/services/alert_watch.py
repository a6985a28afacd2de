"""Looks every minute what people should be told, whether or not a pass is on, and puts messages in the outbox.

A cause is opened, told and cured by guarded updates on its one row, so that two clusters tell it once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Q, Sum
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from reconciliation.core import alerts, messages
from reconciliation.models import Alert, AlertKind, ChatHook, Message, Run, Subscription
from reconciliation.models import Restart as RestartRow
from reconciliation.selectors import open_cases
from reconciliation.services.alert_facts import MOST_COUNTED, alert_facts, connection_facts, pass_facts

STATES = {"ok": "works", "untested": "is not tested", "waiting": "waits", "needs_attention": "needs a person"}
Recipient = tuple[User | None, str]  # the chat is (None, "")


def watch(now: datetime) -> str:
    """Brings the causes up to date and writes the messages that follow. Returns what was done, for the task log."""
    rows = {row.key: row for row in Alert.objects.filter(Q(is_open=True) | Q(told_at__gte=now - alerts.AGAIN_AFTER))}
    holding = alerts.causes(alert_facts(now), [key for key, row in rows.items() if row.is_open])
    missing = {cause.key for cause in holding} - rows.keys()
    if missing:  # stood before, more than a day ago
        rows |= {row.key: row for row in Alert.objects.filter(key__in=missing)}
    moves = alerts.settle(now, holding, [_known(row) for row in rows.values()])
    told_before = {key: row.told_at for key, row in rows.items()}
    for cause in moves.begin:
        rows[cause.key] = _begin(cause, now)
    _refresh(holding, rows)
    told = sum(_tell(rows[cause.key], told_before.get(cause.key), now) for cause in moves.tell)
    for old, heir in moves.hand_over:
        if _end(rows[old], now):
            Alert.objects.filter(pk=rows[heir].pk).update(is_cure_owed=True)
    cured = sum(_cure(rows[key], now) for key in moves.cure)
    for key in moves.forget:
        _end(rows[key], now)
    digests = _digests(now)
    return f"{len(holding)} standing, {told} told, {cured} cured, {digests} digests"


def _known(row: Alert) -> alerts.Known:
    return alerts.Known(row.key, row.group, row.is_open, row.opened_at, row.told_at, row.is_cure_owed)


def _values(cause: alerts.Cause) -> dict[str, object]:
    path = reverse(f"admin:{cause.page}", kwargs={"pk": cause.pk} if cause.pk is not None else None)
    return {
        "kind": str(cause.kind),
        "group": cause.group,
        "limit": cause.limit,
        "title": cause.title[:300],
        "sentence": cause.sentence,
        "cure": cause.cure[:300],
        "path": path,
        "is_quiet": cause.is_quiet,
    }


def _begin(cause: alerts.Cause, now: datetime) -> Alert:
    """Returns the row of a cause that stands from now on; another worker may have opened it a moment ago."""
    values = {**_values(cause), "opened_at": now}
    row, is_new = Alert.objects.get_or_create(key=cause.key, defaults=values)
    if not is_new:
        Alert.objects.filter(pk=row.pk, is_open=False).update(is_open=True, is_cure_owed=False, cured_at=None, **values)
        row.refresh_from_db()
    return row


def _refresh(holding: Iterable[alerts.Cause], rows: dict[str, Alert]) -> None:
    """Lets the dashboard say what is the matter now; most minutes nothing has changed."""
    for cause in holding:
        row, values = rows[cause.key], _values(cause)
        if any(getattr(row, name) != value for name, value in values.items()):
            Alert.objects.filter(pk=row.pk).update(**values)
            row.__dict__.update(values)


def _tell(row: Alert, told_before: datetime | None, now: datetime) -> bool:
    """Writes the messages of a cause that stands, unless nobody wants to know or another worker did so since we looked,
    when people were last told at `told_before`."""
    recipients = recipients_of(row.kind, row.limit)
    if not recipients:
        return False
    said = messages.opened(
        row.title,
        row.sentence,
        since=moment(row.opened_at),
        link=link_to(row.path),
        settings_link=link_to(reverse("admin:alerts")),
        is_again=row.is_cure_owed and row.told_at is not None,
    )
    with transaction.atomic():
        if not Alert.objects.filter(pk=row.pk, is_open=True, told_at=told_before).update(told_at=now, is_cure_owed=True):
            return False
        _post(said, Message.What.OPENED, recipients, now, row)
    return True


def _end(row: Alert, now: datetime) -> bool:
    return bool(Alert.objects.filter(pk=row.pk, is_open=True).update(is_open=False, is_cure_owed=False, cured_at=now))


def _cure(row: Alert, now: datetime) -> bool:
    said = messages.cured(
        row.cure,
        row.title,
        since=moment(row.opened_at),
        until=moment(now),
        link=link_to(row.path),
        settings_link=link_to(reverse("admin:alerts")),
    )
    with transaction.atomic():
        if not _end(row, now):
            return False
        heard = Message.objects.filter(alert__group=row.group, what=Message.What.OPENED).values_list("user_id", flat=True)
        knowing = set(heard.distinct())
        recipients = [(user, address) for user, address in recipients_of(row.kind, row.limit) if (user.pk if user else None) in knowing]
        _post(said, Message.What.CURED, recipients, now, row)
    return True


def _post(said: messages.Words, what: str, recipients: Iterable[Recipient], now: datetime, alert: Alert | None = None) -> None:
    Message.objects.bulk_create(
        Message(what=what, alert=alert, user=user, address=address, subject=said.subject, body=said.body, next_try_at=now, created_at=now)
        for user, address in recipients
    )


def recipients_of(kind: str, limit: int | None = None) -> list[Recipient]:
    """Returns who wants to know: people who may still see the pages, and the chat. Without a mail server no mail is
    written: it would arrive days later, when it says nothing any more."""
    found: list[Recipient] = []
    if settings.MAIL_IS_CONFIGURED:
        for row in subscriptions():
            if kind in row.kinds and (limit is None or row.queue_limit == limit):
                found.append((row.user, row.address))
    hook = ChatHook.objects.filter(pk=1, is_on=True).first()
    if hook is not None and kind in hook.kinds and (limit is None or hook.queue_limit == limit) and hook.secrets.get("address"):
        found.append((None, ""))
    return found


def subscriptions() -> list[Subscription]:
    """Returns the subscriptions of people who may log in and see pages."""
    may = Q(user__is_superuser=True)
    for road in ("user__groups__permissions", "user__user_permissions"):
        may |= Q(**{f"{road}__codename": "see_pages", f"{road}__content_type__app_label": "reconciliation"})
    rows = Subscription.objects.filter(may, user__is_active=True, user__is_staff=True)
    return list(rows.select_related("user").order_by("pk").distinct())


def link_to(path: str) -> str:
    """Returns the whole address of a page, "" while the site does not know its own."""
    return f"{settings.SITE_URL}{path}" if settings.SITE_URL and path else ""


def moment(at: datetime | None) -> str:
    """Returns an instant as people of this site read it."""
    return date_format(timezone.localtime(at), "Y-m-d H:i T") if at else "never"


def _digests(now: datetime) -> int:
    """Writes the digests whose time has come today, in the site's zone; each person's once a day."""
    if not settings.MAIL_IS_CONFIGURED or not Subscription.objects.exclude(digest_at=None).exists():
        return 0
    here = timezone.localtime(now)
    due = [s for s in subscriptions() if s.digest_at and s.digest_at <= here.time() and (s.digest_sent_on or here.date().min) < here.date()]
    if not due:
        return 0
    said, sent = digest_of(now), 0
    for row in due:
        with transaction.atomic():
            if Subscription.objects.filter(pk=row.pk, digest_sent_on=row.digest_sent_on).update(digest_sent_on=here.date()):
                _post(said, Message.What.DIGEST, [(row.user, row.address)], now)
                sent += 1
    return sent


def digest_of(now: datetime) -> messages.Words:
    """Returns the digest of this moment."""
    day = Run.objects.filter(started_at__gte=now - timedelta(days=1)).order_by()
    sums = day.aggregate(
        runs=Count("pk"), created=Sum("created"), updated=Sum("updated"), duplicates=Sum("duplicates"), failed=Sum("failed")
    )
    standing = Alert.objects.filter(is_open=True).order_by("opened_at")[:50]
    cases = open_cases(MOST_COUNTED + 1)
    facts = messages.Digest(
        day=date_format(timezone.localtime(now), "l, j F Y"),
        standing=[(f"{row.title}, since {moment(row.opened_at)}", link_to(row.path)) for row in standing],
        queues=[(_queue(kind, count), link_to(reverse(f"admin:{alerts.QUEUES[kind][1]}"))) for kind, count in cases.items() if count],
        passes=[_pass_line(facts) for facts in pass_facts()],
        connections=[f"{c.name} {STATES.get(c.state, c.state)}" for c in connection_facts()],
        **{name: value or 0 for name, value in sums.items()},
    )
    return messages.digest(facts, link=link_to(reverse("admin:index")), settings_link=link_to(reverse("admin:alerts")))


def _queue(kind: str, count: int) -> str:
    words = alerts.QUEUES[kind][0]
    return f"{f'more than {MOST_COUNTED:,}' if count > MOST_COUNTED else f'{count:,}'} {words}"


def _pass_line(facts: alerts.PassFacts) -> messages.PassLine:
    state = "held" if facts.is_held else "waiting for your approval" if facts.parked else "waiting" if facts.trouble_count else "on"
    if not facts.is_working:
        state = "off or paused"
    return messages.PassLine(facts.title, state, moment(facts.last_began_at), link_to(reverse("admin:run_list")))


def restart_note(program: str, reason: str, now: datetime) -> None:
    """Remembers that the supervisor started a program again. Old rows go: the log of the host has them."""
    RestartRow.objects.create(program=program[:60], reason=reason[:200], at=now)
    RestartRow.objects.filter(at__lt=now - timedelta(days=90)).delete()


KINDS = tuple(kind.value for kind in AlertKind)
