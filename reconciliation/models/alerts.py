"""Being told: causes that stand or stood, who wants to know, and every message on its way."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from reconciliation.models.encrypted import EncryptedJSONField


class AlertKind(models.TextChoices):
    """What a person may subscribe to; the values of core.alerts.Kind."""

    CONNECTION = "connection", "A connection needs a person"
    LATE = "late", "A pass is later than three of its intervals"
    BRAKE = "brake", "A run is parked by a brake"
    QUEUE = "queue", "A queue is above the number below"
    WATCHDOG = "watchdog", "The watchdog started something again"
    MAILBOX = "mailbox", "A mailbox was suspended"


class Alert(models.Model):
    """One cause: since when it stands, when people were last told, when it was cured. The same row when it comes back."""

    key = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=12)  # an AlertKind, or "outbox"
    group = models.CharField(max_length=120)
    limit = models.PositiveIntegerField(null=True, blank=True)
    title = models.CharField(max_length=300)
    sentence = models.TextField(blank=True)
    cure = models.CharField(max_length=300, blank=True)
    path = models.CharField(max_length=200, blank=True)
    is_open = models.BooleanField(default=True)
    is_quiet = models.BooleanField(default=False)
    is_cure_owed = models.BooleanField(default=False)
    opened_at = models.DateTimeField()
    told_at = models.DateTimeField(null=True, blank=True)
    cured_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["opened_at"], condition=models.Q(is_open=True), name="alert_open")]

    def __str__(self) -> str:
        return self.title


class Subscription(models.Model):
    """What one person wants to be told by e-mail."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="subscription")
    address = models.EmailField()
    kinds = models.JSONField(default=list)
    queue_limit = models.PositiveIntegerField(default=20)
    digest_at = models.TimeField(null=True, blank=True)
    digest_sent_on = models.DateField(null=True, blank=True)

    def __str__(self) -> str:
        return f"alerts of {self.user}"


class ChatHook(models.Model):
    """The one chat that is told, too. Its address is a secret itself: who knows it may write there."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    host = models.CharField(max_length=200, blank=True)
    secrets = EncryptedJSONField(default=dict, blank=True, editable=False)
    kinds = models.JSONField(default=list)
    queue_limit = models.PositiveIntegerField(default=20)
    is_on = models.BooleanField(default=True)

    def __str__(self) -> str:
        return f"chat at {self.host}"


class Message(models.Model):
    """One message to one person or to the chat, with its tries. A failing server makes it wait, and stops nothing else."""

    class What(models.TextChoices):
        OPENED = "opened", "Alert"
        CURED = "cured", "Over"
        DIGEST = "digest", "Digest"
        TRIAL = "trial", "Test"
        LINK = "link", "Sign-in link"

    class State(models.TextChoices):
        WAITING = "waiting", "Waits to be sent"
        SENDING = "sending", "Being sent"
        SENT = "sent", "Sent"
        FAILED = "failed", "Not sent"

    what = models.CharField(max_length=10, choices=What.choices)
    alert = models.ForeignKey(Alert, on_delete=models.SET_NULL, null=True, blank=True, related_name="messages")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    address = models.CharField(max_length=254, blank=True)  # "" for the chat
    subject = models.CharField(max_length=200)
    body = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField()
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    says = models.CharField(max_length=300, blank=True)  # what the server answered

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["next_try_at"], condition=models.Q(state__in=["waiting", "sending"]), name="message_due"),
            models.Index(fields=["user", "-id"], name="message_user"),
            models.Index(fields=["state", "-created_at"], name="message_state"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def is_chat(self) -> bool:
        return self.user_id is None


class Restart(models.Model):
    """One time that the supervisor had to start a program again."""

    program = models.CharField(max_length=60)
    reason = models.CharField(max_length=200)
    at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.program} at {self.at}"
