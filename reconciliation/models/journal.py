"""The journal: every remote write, before and after, with its state (design section 6)."""

from __future__ import annotations

from typing import Any

from django.db import models

from connectors.contract import Fields, File
from reconciliation.core.spellings import has_forgotten
from reconciliation.models.connection import Connection
from reconciliation.models.run import Run

MOST_LISTED = 6
MAIL_PLACES = ("contactFolder", "mailFolder", "category")  # what a pass makes in a mailbox beside contacts
NAMED_SO = ("account", *MAIL_PLACES)  # whose `name` is what they are called
UNDOABLE_TYPES = ("account", "prospect", "contact", "Contact", "Lead", "Account", "Task", "EmailMessage")
LOSERS = "losers"  # in an operation's origin: field -> the edit that it overwrote because a rule said so, or unseen
VERSION = "version"  # in its exchange: the record's version in the answer


class Operation(models.Model):
    """One remote write. intended -> sent -> confirmed | rejected; *sent* after a crash or a lost answer is in doubt."""

    class State(models.TextChoices):
        PLANNED = "planned", "Planned (preview)"
        INTENDED = "intended", "Intended"
        SENT = "sent", "Sent, unanswered"
        CONFIRMED = "confirmed", "Confirmed"
        REJECTED = "rejected", "Rejected"
        VOID = "void", "Void"
        REFUSED = "refused", "Refused: changed since preview"

    class Kind(models.TextChoices):
        CREATE = "create", "Create"
        UPDATE = "update", "Update"
        WRITE_BACK = "write_back", "Write Id and URL back"
        FLAG = "flag", "Set or clear a flag"
        MOVE_PROSPECT = "move_prospect", "Move prospect to account"
        DELETE = "delete", "Delete"
        FIELD = "field", "Create a custom field"
        # Rows of a plan that stand for no write
        LINK = "link", "Link"
        UNLINK = "unlink", "End a link"
        CASE = "case", "Ask a person"

    OPEN = (State.INTENDED, State.SENT)
    # What is sent beside `after` and stands in no row: what a mail says, and its files. It is lost with the process.
    unstored: Fields = {}
    files: tuple[File, ...] = ()

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="operations")
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=15, choices=Kind.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.INTENDED)
    object_type = models.CharField(max_length=40)
    target_id = models.CharField(max_length=255, blank=True)
    source_ref = models.CharField(max_length=320)
    writer_key = models.CharField(max_length=640)
    marker = models.CharField(max_length=255, blank=True)
    name_key = models.CharField(max_length=255, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    context = models.JSONField(default=dict)
    origin = models.JSONField(default=dict)
    rests_on = models.CharField(max_length=255, blank=True)
    reason = models.TextField(blank=True)
    lease_token = models.BigIntegerField(default=0)
    intended_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    undone_at = models.DateTimeField(null=True, blank=True)  # taken back since
    error = models.TextField(blank=True)
    exchange = models.JSONField(default=dict)

    class Meta:
        constraints = [
            # One writer per record: a create is keyed by its source, everything else by its target (engine-rules 20).
            models.UniqueConstraint(
                fields=["connection", "object_type", "writer_key"],
                condition=models.Q(state__in=["intended", "sent"]),
                name="one_open_operation_per_record",
            )
        ]
        indexes = [
            models.Index(fields=["source_ref", "-id"], name="operation_source"),
            models.Index(fields=["connection", "name_key"], condition=~models.Q(name_key=""), name="operation_name_key"),
            models.Index(fields=["state"], condition=models.Q(state__in=["intended", "sent"]), name="operation_open"),
            models.Index(fields=["kind", "-id"], name="operation_kind"),
            models.Index(fields=["state", "-id"], name="operation_state"),
        ]

    @property
    def is_undoable(self) -> bool:
        """Whether undo knows how to take it back: confirmed updates and creates of synced records."""
        kinds = (self.Kind.UPDATE, self.Kind.CREATE)
        is_ours = (
            self.state == self.State.CONFIRMED and self.kind in kinds and self.object_type in UNDOABLE_TYPES and self.undone_at is None
        )
        return is_ours and not self.is_forgotten

    @property
    def is_forgotten(self) -> bool:
        """Whether values of it were those of a person who was forgotten: nothing can be put back from it."""
        return has_forgotten(self.before) or has_forgotten(self.after) or has_forgotten(self.origin.get(LOSERS, {}))

    def replaced(self, name: str) -> Any:
        """Returns what the write replaced in a field, as stored: a user's edit that nobody had seen, where a webhook told of
        one, else the value that was read before it."""
        return self.origin.get(LOSERS, {}).get(name, self.before.get(name))

    @property
    def changes(self) -> list[tuple[str, object, object]]:
        """Returns (field, before, after) of what it writes, at most MOST_LISTED, for lists."""
        return [(name, self.before.get(name), value) for name, value in list(self.after.items())[:MOST_LISTED]]

    @property
    def more_changes(self) -> int:
        return max(0, len(self.after) - MOST_LISTED)

    @property
    def record_name(self) -> str:
        """The name of the record it was made for, "" where the journal does not hold it: as it was then, or as a list has
        looked it up (`known_source`)."""
        if known := getattr(self, "known_source", ""):
            return str(known)
        return str(self.origin.get("name") or (self.after.get("name") if self.object_type in NAMED_SO else "") or "")

    @property
    def organisation_ref(self) -> str:
        """The organisation this write was made for, which Why? explains; a person's own ref explains nothing."""
        if self.kind == self.Kind.MOVE_PROSPECT:
            return str(self.origin.get("organisation", ""))
        if self.object_type == "prospect":
            return str(self.origin.get("organisation", "")) or self.target_ref or self.source_ref
        return "" if self.object_type == "custom_field" else self.source_ref

    @property
    def target_ref(self) -> str:
        """The record that was written, "" while it has no id."""
        return f"{self.connection.system}:{self.object_type}:{self.target_id}" if self.target_id else ""

    @property
    def is_written_beside(self) -> bool:
        """Whether what is written is another record than the one it was written for."""
        return self.object_type not in ("organisation", *MAIL_PLACES)

    @property
    def target_name(self) -> str:
        """What the written record is called; a list may have looked up the name of a prospect (`known_name`)."""
        return getattr(self, "known_name", "") or (self.record_name if self.object_type in UNDOABLE_TYPES else "")

    @property
    def target_url(self) -> str:
        """The page for people of the account or the Task that was written, "" for other records."""
        if self.object_type == "Task" and self.target_id:
            return self.connection.page_address_template.replace("{object}", "Task").replace("{id}", self.target_id)
        is_account = self.object_type == "account" and self.target_id
        return self.connection.page_address_template.replace("{id}", self.target_id) if is_account else ""

    def __str__(self) -> str:
        return f"{self.kind} {self.object_type} {self.target_id or self.source_ref} ({self.state})"
