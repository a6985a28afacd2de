"""What holds for the whole installation: one row, changed by admins."""

from __future__ import annotations

from django.db import models


class Policy(models.Model):
    """The one row. While `writes_stopped_at` is set, nothing is sent to any system (`engine.stop`). `same_email` says what
    happens when a prospect with the same e-mail address exists (S2.1 to S2.5)."""

    class SameEmail(models.TextChoices):
        PREVENT = "prevent", "Prevent multiple prospects with the same email"
        CHOOSE = "choose", "Allow user to select the preferred CRM ID"

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    writes_stopped_at = models.DateTimeField(null=True, blank=True)
    writes_stopped_by = models.CharField(max_length=150, blank=True)
    writes_stopped_reason = models.TextField(blank=True)
    same_email = models.CharField(max_length=10, choices=SameEmail.choices, default=SameEmail.PREVENT)
    same_email_by = models.CharField(max_length=150, blank=True)
    same_email_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_policy")]

    @classmethod
    def lock(cls) -> None:
        """Lets one transaction at a time go on, until it ends: for what there must not be two of, where no row can be
        locked yet."""
        cls.objects.get_or_create(pk=1)
        cls.objects.select_for_update().get(pk=1)

    def __str__(self) -> str:
        return "writes stopped" if self.writes_stopped_at else "writes allowed"
