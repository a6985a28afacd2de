"""The permissions we ask Microsoft for: as an app for the whole tenant, or of each person for their own mailbox."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission and what we do with it. Without one that is not `is_needed` only a part of the product goes missing."""

    name: str
    purpose: str
    is_needed: bool = True


APP = (
    Permission("Contacts.ReadWrite", "to read and write the contacts of each mailbox"),
    Permission("Calendars.ReadWrite", "to read and write the events of each calendar", is_needed=False),
    Permission("Tasks.ReadWrite.All", "to read and write the tasks of each mailbox", is_needed=False),
    Permission("Mail.ReadWrite", "to read e-mails, and to give those that are shared their category", is_needed=False),
    Permission("MailboxSettings.ReadWrite", "to give the category its colour in each mailbox"),
    Permission("User.Read.All", "to list the people who have a mailbox"),
)
DELEGATED = (
    Permission("Contacts.ReadWrite", "to read and write the contacts of the mailbox whose owner connects"),
    Permission("Calendars.ReadWrite", "to read and write the events of its calendar", is_needed=False),
    Permission("Tasks.ReadWrite", "to read and write its tasks", is_needed=False),
    Permission("Mail.ReadWrite", "to read its e-mails, and to give those that are shared their category", is_needed=False),
    Permission("MailboxSettings.ReadWrite", "to give the category its colour there"),
    Permission("User.Read", "to see whose mailbox it is"),
    Permission("offline_access", "to go on working when its owner has closed the browser"),
)
ALL = " ".join(permission.name for permission in DELEGATED)
RESERVED = frozenset({"openid", "profile", "offline_access"})  # msal adds these itself, and takes them from nobody


def renewable(granted: str) -> list[str]:
    """Returns what a renewal asks for. More than its owner consented to would be refused as a whole, so that a consent of before
    stays good for what it was given for; where it is not known, everything."""
    words = {word.rpartition("/")[2] for word in granted.split()}
    found = [p.name for p in DELEGATED if p.is_needed or not words or p.name in words]
    return [name for name in found if name not in RESERVED]


def claims_of(token: str) -> dict[str, Any]:
    """Returns what an access token says of itself, nothing for one that is no readable JWT. Its signature is the API's
    matter: nothing is decided by it here but what a test page says."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def granted_to_app(token: str) -> frozenset[str] | None:
    """Returns the application permissions that a token carries, None where it does not say."""
    claims = claims_of(token)
    roles = claims.get("roles", [] if claims else None)  # an app without permissions has a token without roles
    return frozenset(map(str, roles)) if isinstance(roles, list) else None
