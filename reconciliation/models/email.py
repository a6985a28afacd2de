"""E-mails that mailboxes shared: one row for each of them in the whole organisation, and where each mailbox holds it."""

from __future__ import annotations

from django.db import models

from reconciliation.models.connection import Connection
from reconciliation.models.mailbox import Mailbox
from reconciliation.models.sync_pass import SyncPass


class Email(models.Model):
    """One e-mail, by the digest of its Message-ID. Whoever wants to save it claims the row first, so that it is made once, however
    many mailboxes hold it (engine-rules 40). What was saved is remembered for good: it is never made again, whatever becomes of it
    on either side. What it says stands in the mailbox and in the CRM, and nowhere here."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waits"
        CLAIMED = "claimed", "Is being saved"
        REFUSED = "refused", "Refused"
        SAVED = "saved", "In the CRM"
        DELETED = "deleted", "Deleted in the CRM"
        TAKEN_BACK = "taken_back", "Taken back"

    OVER = (State.SAVED, State.DELETED, State.TAKEN_BACK)  # nothing is written any more
    OPEN = (State.WAITING, State.CLAIMED, State.REFUSED)

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")  # to the CRM
    key = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    holder = models.ForeignKey(SyncPass, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")  # whose run saves it
    claim = models.CharField(max_length=64, blank=True)  # what that run calls itself
    claimed_at = models.DateTimeField(null=True, blank=True)
    draft_id = models.CharField(max_length=64, blank=True)  # of the CRM: begun, and left behind
    crm_type = models.CharField(max_length=40, blank=True)
    crm_id = models.CharField(max_length=64, blank=True)
    message_id = models.CharField(max_length=765, blank=True)
    subject = models.CharField(max_length=255, blank=True)
    sender = models.CharField(max_length=320, blank=True)
    recipients = models.CharField(max_length=1000, blank=True)
    is_outgoing = models.BooleanField(default=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    why = models.CharField(max_length=20, blank=True)  # category, folder, thread, auto, person
    by = models.CharField(max_length=150, blank=True)  # the person whose wish it was, where one pressed a button
    links = models.JSONField(default=dict, blank=True)  # as `engine.linker` says them
    left_out = models.JSONField(default=list, blank=True)  # sentences: files and texts that are not in the CRM
    reason = models.CharField(max_length=60, blank=True)
    sentence = models.TextField(blank=True)
    since = models.DateTimeField()
    saved_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True)  # when a waiting one is looked at again by itself

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "key"], name="one_row_per_email")]
        indexes = [
            models.Index(fields=["state", "-id"], name="email_state"),
            models.Index(fields=["-sent_at", "-id"], name="email_sent_at"),
            models.Index(fields=["holder"], condition=models.Q(state="claimed"), name="email_claimed"),
            models.Index(fields=["crm_id"], condition=~models.Q(crm_id=""), name="email_crm_id"),
        ]

    def __str__(self) -> str:
        return f"{self.subject or 'E-mail'}: {self.state}"

    @property
    def is_over(self) -> bool:
        return self.state in self.OVER


class EmailCopy(models.Model):
    """An e-mail as it lies in one mailbox, and why that mailbox shares it. It is open as long as its run, or another mailbox's, has
    still to save the e-mail."""

    email = models.ForeignKey(Email, on_delete=models.CASCADE, related_name="copies")
    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="email_copies")
    mail_id = models.CharField(max_length=1000)
    why = models.CharField(max_length=20)
    by = models.CharField(max_length=150, blank=True)
    is_open = models.BooleanField(default=True)
    is_gone = models.BooleanField(default=False)  # it left the place where it was shared; nothing follows from that in the CRM
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "e-mail copies"
        constraints = [models.UniqueConstraint(fields=["sync_pass", "mail_id"], name="one_row_per_email_copy")]
        indexes = [models.Index(fields=["sync_pass"], condition=models.Q(is_open=True), name="email_copy_open")]

    def __str__(self) -> str:
        return f"{self.mail_id} of {self.sync_pass_id}"


class MailThread(models.Model):
    """A conversation whose new e-mails a mailbox's user wants saved (S4.1). Those that came before stay where they are."""

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="mail_threads")
    thread = models.CharField(max_length=1000)
    subject = models.CharField(max_length=255, blank=True)
    chosen_by = models.CharField(max_length=150, blank=True)
    chosen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "thread"], name="one_row_per_mail_thread")]

    def __str__(self) -> str:
        return self.subject or self.thread
