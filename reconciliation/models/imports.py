"""Imports of CRM people that somebody asked for, row by row, and the candidates a prospect may belong to."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from reconciliation.models.cases import Case
from reconciliation.models.policy import Policy
from reconciliation.models.run import Run
from reconciliation.models.sync_pass import SyncPass


class Import(models.Model):
    """One import: what was chosen, by whom, and how far it is."""

    class Source(models.TextChoices):
        SEARCH = "search", "Chosen by search"
        VIEW = "view", "A list view"
        CSV = "csv", "A file of ids or e-mail addresses"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        INTERRUPTED = "interrupted", "Interrupted"

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.PROTECT, related_name="imports")
    source = models.CharField(max_length=10, choices=Source.choices)
    title = models.CharField(max_length=200)  # the file's, the view's or the search's name
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    note = models.TextField(blank=True)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    started_by_name = models.CharField(max_length=150, blank=True)
    same_email = models.CharField(max_length=10)  # the policy it was started under
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Import {self.pk}: {self.title}"

    def get_policy_word(self) -> str:
        """Returns what the import does with the address of a prospect that is there already, as the setting says it."""
        return dict(Policy.SameEmail.choices).get(self.same_email, self.same_email)


class ImportRow(models.Model):
    """One row of an import with its outcome."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        CREATED = "created", "Created"
        LINKED = "linked", "Linked"
        PRESENT = "present", "Was linked already"
        FAILED = "failed", "Failed"

    class Reason(models.TextChoices):
        SAME_EMAIL = "same_email", "A prospect with this email address already exists in Outreach"
        NO_EMAIL = "no_email", "No e-mail address"
        TWICE = "twice", "Twice in this import"
        EXCLUDED = "excluded", "Excluded e-mail address"
        REQUIRED = "required", "A required field is blank"
        NOT_FOUND = "not_found", "Not found in Salesforce"
        OTHER = "other", "Refused for another reason"

    batch = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField()
    given = models.CharField(max_length=255)  # the id or e-mail address as it was chosen or written
    crm_type = models.CharField(max_length=40, blank=True)
    crm_id = models.CharField(max_length=64, blank=True)
    name = models.CharField(max_length=255, blank=True)
    email = models.CharField(max_length=255, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    reason = models.CharField(max_length=12, choices=Reason.choices, blank=True)
    sentence = models.TextField(blank=True)
    peer_id = models.CharField(max_length=64, blank=True)  # the prospect that was made, linked, or is in the way
    case = models.ForeignKey(Case, on_delete=models.SET_NULL, null=True, blank=True, related_name="import_rows")
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["batch", "number"], name="one_import_row_per_number")]
        indexes = [
            models.Index(fields=["batch", "state", "reason", "number"], name="import_row_state"),
            models.Index(fields=["batch", "peer_id"], name="import_row_peer"),
        ]

    def __str__(self) -> str:
        return f"{self.given}: {self.get_state_display()}"

    @property
    def crm_ref(self) -> str:
        return f"salesforce:{self.crm_type}:{self.crm_id}" if self.crm_id else ""

    @property
    def peer_ref(self) -> str:
        return f"outreach:prospect:{self.peer_id}" if self.peer_id else ""


class ProspectMatches(models.Model):
    """The CRM records that one prospect may belong to, and what is active on it, as they were when last read."""

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="+")
    peer_id = models.CharField(max_length=64)
    prospect = models.JSONField(default=dict)  # the prospect's fields
    # [{type, id, name, company, owner, changed_at, fields, is_current, bound_to, fate, reason}, …]
    candidates = models.JSONField(default=list)
    active_tasks = models.PositiveIntegerField(default=0)
    active_sequences = models.PositiveIntegerField(default=0)
    read_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sync_pass", "peer_id"], name="one_row_of_matches_per_prospect")]

    def __str__(self) -> str:
        return f"{len(self.candidates)} candidates of prospect {self.peer_id}"
