"""Our access to one system."""

from __future__ import annotations

from django.db import models

from reconciliation.models.encrypted import EncryptedJSONField


class Connection(models.Model):
    """One system, how to reach it, and how it is. Secrets are write-only in every form and never logged."""

    class System(models.TextChoices):
        WORKBOOKS = "workbooks", "Workbooks"
        OUTREACH = "outreach", "Outreach"

    class State(models.TextChoices):
        UNTESTED = "untested", "Not tested"
        OK = "ok", "Works"
        WAITING = "waiting", "Waiting"
        NEEDS_ATTENTION = "needs_attention", "Needs attention"

    name = models.CharField(max_length=100, unique=True)
    system = models.CharField(max_length=20, choices=System.choices)
    base_url = models.CharField(max_length=300)
    page_address_template = models.CharField(
        max_length=300, blank=True, help_text="Address of a record's page for people, with {id}, e.g. https://web.example/accounts/{id}"
    )
    settings = models.JSONField(default=dict, blank=True)
    secrets = EncryptedJSONField(default=dict, blank=True, editable=False)
    is_sandbox = models.BooleanField(default=False, editable=False)
    world_id = models.CharField(max_length=64, blank=True, editable=False)
    state = models.CharField(max_length=20, choices=State.choices, default=State.UNTESTED, editable=False)
    last_error = models.TextField(blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, blank=True, editable=False)
    settle_seconds = models.PositiveIntegerField(
        default=120, help_text="How long a new record may stay invisible to searches. Decides when an unanswered create is sent again."
    )
    schema_cache = models.JSONField(default=dict, blank=True, editable=False)
    calls_limit = models.IntegerField(null=True, editable=False)
    calls_remaining = models.IntegerField(null=True, editable=False)
    calls_reset_at = models.DateTimeField(null=True, editable=False)
    token_lock_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name
