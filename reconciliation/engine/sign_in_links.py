"""The link that signs a mailbox user in once. It is made when its mail is sent, so that only its digest is ever stored."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings

from reconciliation.models import Mailbox, Message

LASTS = timedelta(hours=24)
PATH = "/sign-in/"  # followed by the token and a slash
PLACE = "{sign-in link}"  # where the link stands in the words of its mail


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def body_of(message: Message, now: datetime) -> str:
    """Returns the body of a message as it goes out. In one that brings a link a new one is made, and an earlier link, also one
    of an earlier try of this mail, ends."""
    if message.what != Message.What.LINK or PLACE not in message.body:
        return message.body
    token = secrets.token_urlsafe(32)
    values = {"link_digest": digest_of(token), "link_ends_at": now + LASTS}
    Mailbox.objects.filter(user=message.user_id, user__isnull=False).update(**values)
    return message.body.replace(PLACE, f"{settings.SITE_URL}{PATH}{token}/")
