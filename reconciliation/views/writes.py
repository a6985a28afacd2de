"""What the pages of one write share."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from reconciliation.models import Operation
from reconciliation.models.journal import LOSERS
from reconciliation.roles import OPERATE


def field_rows(operation: Operation | None) -> list[dict[str, Any]]:
    """Returns a row per field of the write: before and after, whether an edit gave way, and the edit itself where it is not
    the value that was read before the write."""
    if operation is None:
        return []
    names = sorted({*operation.before, *operation.after})
    lost = operation.origin.get(LOSERS, {})
    return [
        {
            "name": n,
            "before": operation.before.get(n),
            "after": operation.after.get(n),
            "lost": n in lost,
            "unseen": n in lost and lost[n] != operation.before.get(n),
            "edit": lost.get(n),
        }
        for n in names
    ]


def may_put_back(operation: Operation | None, user: AbstractBaseUser | AnonymousUser) -> bool:
    """Tells whether the person may put back a value that gave way to this write; in a pass that goes one way the field is
    taken back with Undo."""
    if operation is None or operation.state != Operation.State.CONFIRMED or not operation.origin.get(LOSERS):
        return False
    return user.has_perm(OPERATE) and operation.run.sync_pass.is_two_way


def may_undo_fields(operation: Operation | None, user: AbstractBaseUser | AnonymousUser) -> bool:
    """Tells whether the person may take single fields of the write back."""
    return operation is not None and operation.kind == Operation.Kind.UPDATE and operation.is_undoable and user.has_perm(OPERATE)
