"""What a mapping table said in each of its versions."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from reconciliation.models.mapping import FieldRule, MappingTable

ROW_FIELDS = (
    "crm_field",
    "peer_field",
    "direction",
    "transform",
    "survivorship",
    "blank_to_peer",
    "blank_to_crm",
    "value_map",
    "default_in_peer",
    "default_in_crm",
    "is_enabled",
    "is_standard",
)


def rows_of(rules: Any) -> list[dict[str, Any]]:
    """Returns field rules as a version keeps them; `id` is the row's key on this site."""
    return [{"id": rule.pk, **{name: getattr(rule, name) for name in ROW_FIELDS}} for rule in rules]


class MappingVersion(models.Model):
    """One save of a mapping table: all rows as they were stored, by whom, when and why. Never changed."""

    table = models.ForeignKey(MappingTable, on_delete=models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    rows = models.JSONField(default=list)
    on_first_link = models.CharField(max_length=20)
    saved_at = models.DateTimeField(default=timezone.now)
    saved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    saved_by_name = models.CharField(max_length=150, blank=True)  # as it was then
    reason = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["table", "version"], name="one_snapshot_per_mapping_version")]
        ordering = ["-version"]

    def __str__(self) -> str:
        return f"{self.table}, version {self.version}"

    @classmethod
    def keep(cls, table: MappingTable, by: Any = None, reason: str = "") -> MappingVersion:
        """Stores the table as it is now, once per version."""
        table.refresh_from_db()
        name = by.get_username() if by is not None else ""
        rows = rows_of(FieldRule.objects.filter(table=table))
        values = {"rows": rows, "on_first_link": table.on_first_link, "saved_by": by, "saved_by_name": name, "reason": reason[:1000]}
        return cls.objects.get_or_create(table=table, version=table.version, defaults=values)[0]
