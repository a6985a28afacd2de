"""What the last look at *Assigned To* found: which names are Outreach usernames (set-up, and for those who mend them)."""

from __future__ import annotations

from django.db import models

from reconciliation.core.counting import counted
from reconciliation.models.sync_pass import SyncPass


class OwnerCheck(models.Model):
    """One row a pass. `names` lists [name, organisations, is a username], the most frequent first, a bounded number."""

    sync_pass = models.OneToOneField(SyncPass, on_delete=models.CASCADE, related_name="owner_check")
    at = models.DateTimeField()
    looked_at = models.PositiveIntegerField(default=0)
    is_complete = models.BooleanField(default=True)
    names = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"owners of {counted(self.looked_at, 'organisation')}"

    @property
    def matched(self) -> list[tuple[str, int]]:
        return [(name, n) for name, n, is_user in self.names if is_user]

    @property
    def unmatched(self) -> list[tuple[str, int]]:
        return [(name, n) for name, n, is_user in self.names if not is_user]
