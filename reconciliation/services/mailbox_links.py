"""The one-time link by which a mailbox user signs in: mailed to that very address, good once and for a day.

The page of the link must sign in by a button (POST): mail scanners open every link they meet.
"""

from __future__ import annotations

import hmac
from datetime import timedelta

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, Group, User
from django.contrib.auth.signals import user_login_failed
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from reconciliation.core import messages
from reconciliation.engine.sign_in_links import LASTS, PLACE, digest_of
from reconciliation.models import Mailbox, Message
from reconciliation.roles import ADMINISTER, MAILBOX_USER, OPERATE, VIEW
from reconciliation.services.audit import audit
from reconciliation.services.mailbox_states import refuse_stranger
from reconciliation.services.mailboxes import MailboxRefused

BACKEND = "django.contrib.auth.backends.ModelBackend"
AGAIN_AFTER = timedelta(minutes=5)
COUNTED_AS = "sign-in link"  # the name that wrong links are counted under, from each address
LONGEST_TOKEN = 200


def link_send(mailbox: Mailbox, by: AbstractBaseUser | None) -> None:
    """Mails a link to the mailbox's address that signs its user in, to their own page and nowhere else. An earlier link ends when
    the mail goes out. Raises MailboxRefused."""
    refuse_stranger(mailbox, by)
    if not settings.MAIL_IS_CONFIGURED:
        raise MailboxRefused("Mails cannot be sent: EMAIL_URL, DEFAULT_FROM_EMAIL and SITE_URL are not set on this site.")
    if mailbox.state == Mailbox.State.LEFT:
        raise MailboxRefused("The mailbox is marked as left; resume it first.")
    if mailbox.is_ended:
        raise MailboxRefused("The sync of this mailbox was ended; add it again first.")
    now = timezone.now()
    with transaction.atomic():
        row = Mailbox.objects.select_for_update().get(pk=mailbox.pk)
        if row.link_sent_at is not None and now - row.link_sent_at < AGAIN_AFTER:
            raise MailboxRefused("A link was sent less than five minutes ago. Look in the mailbox, or wait until then.")
        user = row.user or _user_for(row)
        if why := _why_not(user):
            raise MailboxRefused(why)
        Mailbox.objects.filter(pk=row.pk).update(user=user, link_sent_at=now)
        said = messages.sign_in(PLACE, row.address, hours=int(LASTS.total_seconds() // 3600))
        values = {"address": row.address, "subject": said.subject, "body": said.body, "next_try_at": now, "created_at": now}
        Message.objects.create(what=Message.What.LINK, user=user, **values)
        audit(by, "send sign-in link", row.address)
    mailbox.refresh_from_db(fields=["user", "link_sent_at"])


def _user_for(mailbox: Mailbox) -> User:
    """Returns a new user for the mailbox, without a password and without staff rights. Somebody who is called like the address is
    never taken: the link would open their account."""
    name, more = mailbox.address[:140], 0
    while User.objects.filter(username__iexact=name).exists():
        more += 1
        name = f"{mailbox.address[:125]} ({mailbox.pk}{f'-{more}' if more > 1 else ''})"
    user = User(username=name, email=mailbox.address)
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise MailboxRefused("Somebody else was given this name just now. Try again.") from None
    user.groups.add(Group.objects.get_or_create(name=MAILBOX_USER)[0])
    return user


def _why_not(user: User) -> str:
    """Returns why a link may not sign this user in, "" when it may."""
    if not user.is_active:
        return f"The user “{user}” is switched off under Users."
    if user.is_staff or user.is_superuser or any(user.has_perm(right) for right in (VIEW, OPERATE, ADMINISTER)):
        return f"“{user}” has more rights than a mailbox user, and logs in with name and password."
    return ""


def link_use(token: str, request: HttpRequest | None = None) -> User | None:
    """Returns whom the link signs in, and ends it; None where it is none, was used, or ran out. The user comes with `backend`
    set, for `django.contrib.auth.login`. With the request wrong links count like wrong log-ins, and after too many of them no
    link is taken from that address for a while."""
    if request is not None and not AxesProxyHandler.is_allowed(request, {"username": COUNTED_AS}):
        return None
    user = _used(token) if 0 < len(token) <= LONGEST_TOKEN else None
    if user is None and request is not None:
        user_login_failed.send(sender=__name__, credentials={"username": COUNTED_AS}, request=request)
    return user


def _used(token: str) -> User | None:
    digest = digest_of(token)
    mailbox = Mailbox.objects.select_related("user").filter(link_digest=digest).first()
    # The database compared digests, not tokens; what time that takes tells nothing of a link. This once more is constant.
    if mailbox is None or not hmac.compare_digest(mailbox.link_digest.encode(), digest.encode()):
        return None
    rows = Mailbox.objects.filter(pk=mailbox.pk, link_digest=digest, link_ends_at__gt=timezone.now())
    if not rows.exclude(state__in=Mailbox.GONE).update(link_digest="", link_ends_at=None):  # once, whoever else tries
        return None
    user = mailbox.user
    if user is None or _why_not(user):
        return None
    user.groups.add(Group.objects.get_or_create(name=MAILBOX_USER)[0])
    user.backend = BACKEND  # type: ignore[attr-defined]
    audit(user, "use sign-in link", mailbox.address)
    return user
