"""Work for a person: duplicates, errors, and what people decided."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from reconciliation.models.sync_pass import SyncPass


class Case(models.Model):
    """One decision that software must not take alone. At most one open case of a kind per record."""

    class Kind(models.TextChoices):
        DUPLICATE = "duplicate", "Duplicate"
        ERROR = "error", "Error"
        MAPPING = "mapping", "Mapping"
        CONFLICT = "conflict", "Conflict"
        REMAP = "remap", "Remap"
        DELETION = "deletion", "Deletion"
        EXISTS = "exists", "Contact exists"  # an item of a mailbox whose e-mail address a contact bears (D7)

    class State(models.TextChoices):
        OPEN = "open", "Open"
        RESOLVED = "resolved", "Resolved"
        CLOSED = "closed", "Closed by itself"

    class Flag(models.TextChoices):
        OWED = "owed", "Flag still to be written"
        WRITTEN = "written", "Flag is set in the CRM"
        NONE = "none", "No flag"

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.PROTECT, related_name="cases")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    # Of a two-way pass: either side may be the one that is known; "" where a side is not.
    crm_type = models.CharField(max_length=40, default="organisation")
    crm_id = models.CharField(max_length=64, blank=True)
    peer_id = models.CharField(max_length=255, blank=True)
    name = models.CharField(max_length=255, blank=True)
    name_key = models.CharField(max_length=255, blank=True, db_index=True)
    reason = models.CharField(max_length=60)
    sentence = models.TextField()
    remedy = models.TextField(blank=True)
    candidates = models.JSONField(default=list)
    crm_fields = models.JSONField(default=dict)
    flag = models.CharField(max_length=10, choices=Flag.choices, default=Flag.OWED)
    run = models.ForeignKey("reconciliation.Run", on_delete=models.SET_NULL, null=True, related_name="cases")
    operation_id = models.BigIntegerField(null=True, blank=True)
    exchange = models.JSONField(default=dict)
    trace = models.TextField(blank=True)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    decision = models.CharField(max_length=40, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    note = models.TextField(blank=True)
    # What the decision did, for its undo: {"peer_id", "moved_from", "run"}.
    decided = models.JSONField(default=dict)
    assigned_to = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    open_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    open_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["sync_pass", "kind", "crm_id", "peer_id"],
                condition=models.Q(state="open"),
                name="one_open_case_per_record_and_kind",
            )
        ]
        indexes = [
            models.Index(fields=["kind", "-id"], condition=models.Q(state="open"), name="case_open"),
            models.Index(fields=["sync_pass"], condition=models.Q(state="open", flag="owed"), name="case_flag_owed"),
            models.Index(fields=["sync_pass", "crm_id", "-id"], name="case_record"),
            models.Index(fields=["sync_pass", "peer_id"], condition=~models.Q(peer_id=""), name="case_peer_record"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.name}"

    DECISIONS = {
        "link": "Linked",
        "different": "Different company",
        "unticked": "Not synced any more",
        "retry": "Tried again",
        "create again": "Account created again",
        "stopped syncing": "Not synced any more",
        "solved": "Went through later",
        "flag_cleared": "Flag cleared in Workbooks",
        "id_typed": "Id typed in Workbooks",
        "deleted": "Deleted in Workbooks",
        "mapping saved": "Mapping saved",
        "record type saved": "Record type saved",
        "remap": "Remapped",
        "link prospect": "Linked",
        "keep": "Kept on its present CRM ID",
        "no candidate": "No candidate was left",
        "conflict crm": "The CRM's value was taken",
        "conflict peer": "Outreach's value was taken",
        "conflict typed": "Another value was entered",
        "conflict mixed": "Decided field by field",
        "conflict agreed": "The sides agree by now",
        "conflict ended": "No longer linked",
        "contact deleted": "Deleted on the other side, too",
        "put back": "Made again",
        "kept apart": "Kept; this mailbox's link ended",
        "link contact": "Linked",
        "create contact": "Another contact created",
        "personal": "Kept personal",
    }

    def get_decision_word(self) -> str:
        """Returns what became of the case, as people read it."""
        if self.decision.startswith("link "):
            return "Linked"
        if self.kind == self.Kind.CONFLICT and self.decision == "solved":
            return self.DECISIONS["conflict agreed"]
        return self.DECISIONS.get(self.decision, self.get_state_display())

    @property
    def is_being_looked_at(self) -> bool:
        """Whether somebody has the open case on the screen just now."""
        if self.open_by_id is None or self.open_at is None or not self.is_open:
            return False
        return (timezone.now() - self.open_at).total_seconds() < 90

    @property
    def crm_ref(self) -> str:
        return f"{self.sync_pass.crm.system}:{self.crm_type}:{self.crm_id}" if self.crm_id else ""

    @property
    def subject_record(self) -> tuple[str, str, str]:
        """The record a case of a two-way pass is about: its side, object type and id; the CRM's where both are known."""
        if self.crm_id:
            return "crm", self.crm_type, self.crm_id
        # A mail and a call may have one id: those of activities stand behind their type.
        return "peer", self.peer_type, self.peer_id.partition(":")[2] if self.sync_pass.is_of_activities else self.peer_id

    @property
    def peer_type(self) -> str:
        """The kind of record that a case concerns in the peer."""
        if self.sync_pass.is_of_activities:
            return self.peer_id.partition(":")[0] or "activity"
        return {"prospects": "prospect", "contacts": "contact", "emails": "mail"}.get(self.sync_pass.kind, "account")

    @property
    def peer_ref(self) -> str:
        id_ = self.subject_record[2] if self.sync_pass.is_of_activities else self.peer_id
        return f"{self.sync_pass.peer.system}:{self.peer_type}:{id_}" if self.peer_id else ""

    @property
    def peer_url(self) -> str:
        """The page for people of the item of a mailbox, "" for other records and where no address is set."""
        template = self.sync_pass.peer.page_address_template if self.sync_pass.mailbox_id is not None else ""
        return template.replace("{id}", self.peer_id.removeprefix("people/"))

    @property
    def subject_ref(self) -> str:
        """The record that the case is named after: the CRM's where it is known."""
        return self.crm_ref or self.peer_ref

    @property
    def subject_system(self) -> str:
        side = self.sync_pass.crm if self.subject_record[0] == "crm" else self.sync_pass.peer
        return side.get_system_display()

    @property
    def page_name(self) -> str:
        """The name of the page where this kind of case is decided, "" where it has none."""
        pages = {
            self.Kind.DUPLICATE: "duplicate_detail",
            self.Kind.ERROR: "error_detail",
            self.Kind.CONFLICT: "conflict_detail",
            self.Kind.DELETION: "contact_question",
            self.Kind.EXISTS: "contact_question",
        }
        return f"admin:{pages[self.kind]}" if self.kind in pages else ""

    @property
    def is_open(self) -> bool:
        return self.state == self.State.OPEN


class RememberedPair(models.Model):
    """Two records a person declared different: never raised again (S0.18)."""

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="+")
    crm_id = models.CharField(max_length=64)
    peer_id = models.CharField(max_length=255)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sync_pass", "crm_id", "peer_id"], name="one_decision_per_pair")]

    def __str__(self) -> str:
        return f"{self.crm_id} is not {self.peer_id}"
