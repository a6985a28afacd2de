"""Groups of mailboxes that begin with the same settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction

from reconciliation.core.counting import counted
from reconciliation.core.mailbox_settings import SETTINGS, is_valid
from reconciliation.engine.mailbox_queue import wake
from reconciliation.models import Mailbox, MailboxGroup
from reconciliation.services.audit import audit
from reconciliation.services.mailbox_states import MOST_AT_ONCE, Done
from reconciliation.services.mailboxes import MailboxRefused

LONGEST_NAME = 100


def group_save(group: MailboxGroup | None, name: str, settings: Mapping[str, Any], by: AbstractBaseUser | None) -> MailboxGroup:
    """Returns the group, made when None is given, with this name and exactly these settings. What an admin locked, or a mailbox's
    user chose, counts before them. Raises MailboxRefused, changing nothing."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME:
        raise MailboxRefused(f"Give the group a name of at most {LONGEST_NAME} characters.")
    for key, value in settings.items():
        if not is_valid(key, value):
            title = SETTINGS[key].title if key in SETTINGS else str(key)[:40]
            raise MailboxRefused(f"“{title}” cannot be {str(value)[:40]!r}. Nothing was changed.")
    if MailboxGroup.objects.filter(name__iexact=name).exclude(pk=group.pk if group else None).exists():
        raise MailboxRefused(f"There is a group “{name}” already.")
    before = {"name": group.name, **group.settings} if group is not None else {}
    row = group or MailboxGroup()
    row.name, row.settings = name, dict(settings)
    try:
        with transaction.atomic():
            row.save()
            after = {"name": name, **settings}
            changed = {k: [before.get(k), after.get(k)] for k in {**before, **after} if before.get(k) != after.get(k)}
            if changed:
                audit(by, "save mailbox group", name, changed=changed)
    except IntegrityError:  # somebody else was faster
        raise MailboxRefused(f"There is a group “{name}” already.") from None
    wake(Mailbox.objects.filter(group=row).values_list("pk", flat=True))
    return row


def group_remove(group: MailboxGroup, by: AbstractBaseUser | None) -> None:
    """Removes the group; its mailboxes stay, with the settings that hold without it."""
    with transaction.atomic():
        boxes = list(group.mailboxes.values_list("pk", flat=True))
        audit(by, "remove mailbox group", group.name, mailboxes=len(boxes))
        group.delete()
    wake(boxes)


def group_assign(pks: Sequence[int], group: MailboxGroup | None, by: AbstractBaseUser | None) -> Done:
    """Puts mailboxes into a group, or with None out of theirs. Raises MailboxRefused for too many."""
    if len(pks) > MOST_AT_ONCE:
        raise MailboxRefused(f"Select at most {MOST_AT_ONCE:,} mailboxes at once.")
    boxes = Mailbox.objects.filter(pk__in=pks).exclude(group=group)
    ids = list(boxes.values_list("pk", flat=True))
    if ids:
        with transaction.atomic():
            Mailbox.objects.filter(pk__in=ids).update(group=group)
            audit(by, "assign mailbox group", str(group or "no group"), mailboxes=counted(len(ids), "mailbox", "mailboxes"))
        wake(ids)
    return Done(len(ids))
