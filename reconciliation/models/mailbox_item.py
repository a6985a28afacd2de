"""Events and tasks of mailboxes that are in the CRM, were there, or are carried by a colleague's mailbox: what is known of each beside
its link."""

from __future__ import annotations

from django.db import models

from reconciliation.models.sync_pass import SyncPass


class MailboxItem(models.Model):
    """One item of one mailbox, from the moment it had to do with the CRM. The link itself is a `Binding`."""

    class State(models.TextChoices):
        SEEN = "seen", "Not shared"  # known only to have been seen, and since when
        LINKED = "linked", "In Salesforce"
        COLLEAGUE = "colleague", "Carried by a colleague's mailbox"
        ENDED = "ended", "Not shared any more"

    sync_pass = models.ForeignKey(SyncPass, on_delete=models.CASCADE, related_name="items")
    object_type = models.CharField(max_length=20)
    item_id = models.CharField(max_length=255)
    state = models.CharField(max_length=10, choices=State.choices, default=State.LINKED)
    why = models.CharField(max_length=10)  # `passes.items`: by category, by itself, from the CRM, by a person
    reason = models.CharField(max_length=40, blank=True)  # of the last decision that ended it, or held something of it back
    sentence = models.TextField(blank=True)
    name = models.CharField(max_length=255, blank=True)  # a substitute where its details are withheld
    occasion = models.CharField(max_length=64, blank=True)  # the same in the mailboxes of everybody who takes part
    family = models.CharField(max_length=64, blank=True)  # of an occurrence: the same for its whole series, in the mailboxes of everybody
    series_id = models.CharField(max_length=255, blank=True)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    was_marked = models.BooleanField(default=False)  # it bore the category when it was seen last
    was_own_meeting = models.BooleanField(default=False)
    was_cancelled = models.BooleanField(default=False)
    is_private = models.BooleanField(default=False)
    guests = models.PositiveIntegerField(default=0)
    guests_key = models.CharField(max_length=40, blank=True)  # a digest of who is invited and who answered what
    crm_type = models.CharField(max_length=40, blank=True)
    crm_id = models.CharField(max_length=64, blank=True)
    links = models.JSONField(default=dict, blank=True)  # {who, what, others, steps, unresolved}: what the record is linked to, and why
    held = models.JSONField(default=list, blank=True)  # fields of which a change of the CRM waits: it would mail the guests
    is_held = models.BooleanField(default=False)  # there are such fields
    mails_asked_at = models.DateTimeField(null=True, blank=True)  # when a person pressed *Send update*
    mails_asked_by = models.CharField(max_length=150, blank=True)
    share_asked_at = models.DateTimeField(null=True, blank=True)  # when a person shared it from its page
    share_asked_by = models.CharField(max_length=150, blank=True)
    since = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sync_pass", "object_type", "item_id"], name="one_row_per_mailbox_item")]
        indexes = [
            models.Index(fields=["occasion"], condition=~models.Q(occasion=""), name="mailbox_item_occasion"),
            models.Index(fields=["family"], condition=~models.Q(family=""), name="mailbox_item_family"),
            models.Index(fields=["sync_pass", "series_id"], condition=~models.Q(series_id=""), name="mailbox_item_series"),
            models.Index(fields=["sync_pass", "starts_at"], name="mailbox_item_starts"),
            models.Index(fields=["crm_id"], condition=~models.Q(crm_id=""), name="mailbox_item_crm"),
            models.Index(fields=["sync_pass"], condition=models.Q(is_held=True), name="mailbox_item_held"),
        ]

    def __str__(self) -> str:
        return self.name or self.item_id
