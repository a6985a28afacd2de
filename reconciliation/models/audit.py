"""Who did what, when and why: rows that are only ever added, each sealed with the hash of the one before."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.conf import settings
from django.db import models


class AuditEntry(models.Model):
    """One thing a person did. The database refuses to change or delete a row (migration 0007)."""

    at = models.DateTimeField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+")
    username = models.CharField(max_length=150, blank=True)  # as it was then
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)
    previous = models.CharField(max_length=64, blank=True)
    digest = models.CharField(max_length=64)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["action", "-id"], name="audit_action"),
            models.Index(fields=["username", "-id"], name="audit_user"),
            models.Index(fields=["subject"], opclasses=["varchar_pattern_ops"], name="audit_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.username}: {self.action} {self.subject}"

    def seal(self) -> str:
        """Returns the digest over what the row says and the digest of the row before it."""
        said: list[Any] = [self.at.isoformat(), self.user_id, self.username, self.action, self.subject, self.detail, self.previous]
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
