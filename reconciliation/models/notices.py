"""Insta-sync of meetings: its switches, the calendars that a mail system watches for us, and what it told of them (S4.42 to S4.48)."""

from __future__ import annotations

from django.db import models

from reconciliation.models.encrypted import EncryptedJSONField
from reconciliation.models.mailbox import Mailbox
from reconciliation.models.run import Run


class InstaSync(models.Model):
    """One row: what holds for every mailbox, and whether the mail system reaches our address."""

    class Reached(models.TextChoices):
        UNKNOWN = "", "Not tried yet"
        YES = "yes", "Reached"
        NO = "no", "Not reached"

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    on_created = models.BooleanField(default=True)
    on_updated = models.BooleanField(default=True)
    on_deleted = models.BooleanField(default=True)
    spacing_seconds = models.PositiveIntegerField(default=60)  # between two runs of a mailbox that notices force (D16)
    look_seconds = models.PositiveIntegerField(default=180)  # between two looks at a calendar that nobody watches for us
    address = models.CharField(max_length=300, blank=True)  # that `reached` is about
    reached = models.CharField(max_length=3, choices=Reached.choices, default=Reached.UNKNOWN, blank=True)
    reached_at = models.DateTimeField(null=True, blank=True)
    reached_says = models.TextField(blank=True)
    checks = models.JSONField(default=list, blank=True)  # the lines of the last test
    tested_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_insta_sync")]

    def __str__(self) -> str:
        return ", ".join(self.changes) or "off"

    @property
    def changes(self) -> tuple[str, ...]:
        """The kinds of changes that force a run."""
        switches = {"created": self.on_created, "updated": self.on_updated, "deleted": self.on_deleted}
        return tuple(name for name, is_on in switches.items() if is_on)


class CalendarWatch(models.Model):
    """The subscription of one mailbox's calendar, as we know it. `secrets` holds what each notice must bring."""

    class State(models.TextChoices):
        WAITING = "waiting", "Is being made"
        ON = "on", "Watched"
        FAILED = "failed", "Not watched"

    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, related_name="watch")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    why = models.TextField(blank=True)  # what the mail system said last, "" where nothing is the matter
    tries = models.PositiveIntegerField(default=0)  # that failed, in a row
    subscription_id = models.CharField(max_length=255, blank=True)
    secrets = EncryptedJSONField(default=dict, blank=True, editable=False)
    changes = models.CharField(max_length=60, blank=True)
    address = models.CharField(max_length=300, blank=True)
    due_at = models.DateTimeField()  # when it is made, renewed or tried again
    made_at = models.DateTimeField(null=True, blank=True)
    renewed_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="calendar_watch_due")]

    def __str__(self) -> str:
        return f"{self.mailbox_id}: {self.state}"


class MeetingNotice(models.Model):
    """One thing that was told of a calendar. Two with the same digest are the same thing, told twice."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waits for a run"
        DONE = "done", "Carried over"
        LEFT = "left", "No meeting"
        OFF = "off", "Switched off"

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="notices")
    digest = models.CharField(max_length=64)
    what = models.CharField(max_length=10)  # `connectors.notices`: created, updated, deleted, or what became of the watch
    event_id = models.CharField(max_length=255, blank=True)
    kind = models.CharField(max_length=12, blank=True)  # what the event was when it was looked at, "" where nobody did
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    received_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")  # that it was merged into

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "digest"], name="one_row_per_notice")]
        indexes = [
            models.Index(fields=["mailbox", "id"], condition=models.Q(state="waiting"), name="notice_waiting"),
            models.Index(fields=["received_at"], name="notice_received"),
            models.Index(fields=["mailbox", "event_id", "-id"], name="notice_event"),
            models.Index(fields=["mailbox", "-received_at"], name="notice_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.what} in {self.mailbox_id}"
