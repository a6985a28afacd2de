"""Passes, their cursors, leases and the heartbeat."""

from __future__ import annotations

from typing import Self

from django.db import models

from reconciliation.models.connection import Connection
from reconciliation.models.mapping import MappingTable

TWO_WAY = ("prospects", "accounts")
MAILBOX_PASSES = ("contacts", "events", "tasks", "emails")
EMAIL_PASSES = ("emails",)  # among them: they write to the CRM only
ACTIVITY_PASSES = ("outreach-activities",)


class SyncPassRows(models.QuerySet["SyncPass"]):
    """Passes; those of single mailboxes are among them."""

    def whole(self) -> Self:
        """Returns the passes that people know: a pass over mailboxes once."""
        return self.filter(parent=None)


class SyncPass(models.Model):
    """A kind of scheduled work, with its cursor (engine-rules 7) and its schedule."""

    name = models.CharField(max_length=40, unique=True)
    title = models.CharField(max_length=100)
    crm = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    peer = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="+")
    mapping = models.ForeignKey(MappingTable, on_delete=models.PROTECT, related_name="+")
    settings = models.JSONField(default=dict, blank=True)
    is_on = models.BooleanField(default=False)
    switched_on_at = models.DateTimeField(null=True, blank=True)  # for the first time; before it a real pass only plans
    preview_seen = models.JSONField(default=dict, blank=True)  # {run, by, at, rests_on}: who looked at its first preview
    pilot = models.JSONField(default=dict, blank=True)  # {organisations: [{id, name}], batch}
    is_paused = models.BooleanField(default=False)
    interval_seconds = models.PositiveIntegerField(default=60)
    time_budget_seconds = models.PositiveIntegerField(default=50)
    full_every_days = models.PositiveIntegerField(default=7)
    next_full_at = models.DateTimeField(null=True, blank=True)
    channel_wanted_at = models.DateTimeField(null=True, blank=True)
    overlap_seconds = models.PositiveIntegerField(default=120)
    next_due_at = models.DateTimeField(null=True, blank=True)
    run_requested_at = models.DateTimeField(null=True, blank=True)
    hold_reason = models.TextField(blank=True)
    trouble_count = models.PositiveIntegerField(default=0)
    last_run_time = models.DateTimeField(null=True, blank=True)
    sweep_started_at = models.DateTimeField(null=True, blank=True)
    sweep_is_full = models.BooleanField(default=False)
    position_at = models.DateTimeField(null=True, blank=True)
    position_id = models.CharField(max_length=64, blank=True)
    sweep_blanked = models.JSONField(default=dict, blank=True)
    approved_blanking = models.JSONField(default=list, blank=True)
    backlog = models.PositiveIntegerField(null=True, blank=True)
    # Set when the database was put back from a backup, until one sweep has compared everything since: when that was
    # noticed, and the latest moment of the remote systems the backup knew.
    restored_at = models.DateTimeField(null=True, blank=True)
    restored_to = models.DateTimeField(null=True, blank=True)
    names_read_until = models.DateTimeField(null=True, blank=True)
    # A pass over mailboxes has a row of its own for each: cursor, lease, links and runs are the mailbox's, everything that
    # people set stands with the parent.
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    mailbox = models.ForeignKey("reconciliation.Mailbox", null=True, blank=True, on_delete=models.PROTECT, related_name="passes")
    cursor = models.TextField(blank=True)  # where the mailbox's own list of changes goes on, in its system's words
    feed_at = models.BigIntegerField(null=True, blank=True)  # the last row of the CRM's feed that was looked at
    queued_at = models.DateTimeField(null=True, blank=True)  # since when a task of the mailbox is in the queue, or at work
    # Notices of the mailbox's changes (`engine.insta`): how many asked for a run, how many of them the runs so far have heard, and
    # when a run, or a look at what they named, began last.
    notices_told = models.PositiveBigIntegerField(default=0)
    notices_heard = models.PositiveBigIntegerField(default=0)
    looked_at = models.DateTimeField(null=True, blank=True)

    objects = SyncPassRows.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["parent", "mailbox"], condition=~models.Q(mailbox=None), name="one_pass_per_mailbox")
        ]
        indexes = [
            models.Index(fields=["parent", "next_due_at"], name="mailbox_pass_due"),
            models.Index(fields=["queued_at"], condition=models.Q(queued_at__isnull=False), name="mailbox_pass_queued"),
        ]
        permissions = [
            ("see_pages", "May see dashboard, runs, queues and records"),
            ("work_queues", "May work queues and run passes"),
            ("administer", "May change mappings, policy and connections"),
            ("see_own_mailbox", "May see and change the settings of one's own mailbox"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def kind(self) -> str:
        """What sort of pass it is: its name, of a mailbox's the name of its parent."""
        return self.name.partition(":")[0]

    @property
    def whole(self) -> SyncPass:
        """The pass whose mapping, record types and settings hold: of a mailbox's its parent."""
        return self if self.parent is None else self.parent

    @property
    def mailbox_address(self) -> str:
        """The address of the mailbox whose pass it is, "" of any other."""
        return self.mailbox.address if self.mailbox is not None else ""

    @property
    def is_two_way(self) -> bool:
        """Whether both sides are swept and written."""
        return (self.kind in TWO_WAY or self.kind in MAILBOX_PASSES) and not self.is_of_emails

    @property
    def is_over_mailboxes(self) -> bool:
        """Whether its runs are those of single mailboxes."""
        return self.parent_id is None and self.kind in MAILBOX_PASSES

    @property
    def is_of_mailboxes(self) -> bool:
        """Whether its other side is a mailbox, or mailboxes."""
        return self.kind in MAILBOX_PASSES

    @property
    def is_of_calendars(self) -> bool:
        """Whether its other side is the calendars of mailboxes."""
        return self.kind == "events"

    @property
    def is_of_activities(self) -> bool:
        """Whether it carries what users did in the peer into the CRM, and nothing else."""
        return self.kind in ACTIVITY_PASSES

    @property
    def is_of_emails(self) -> bool:
        """Whether it saves e-mails of mailboxes in the CRM, and nothing else."""
        return self.kind in EMAIL_PASSES

    @property
    def arrow(self) -> str:
        return "⇄" if self.is_two_way else "←" if self.is_of_activities or self.is_of_emails else "→"


class PassLease(models.Model):
    """One holder at a time, on any number of hosts: taken and renewed by one conditional UPDATE (design section 7)."""

    name = models.CharField(max_length=80, primary_key=True)
    holder = models.CharField(max_length=80, blank=True)
    token = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)
    renewed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Heartbeat(models.Model):
    """One row: the last time a task went through queue and worker."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    beat_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"heartbeat {self.beat_at}"
