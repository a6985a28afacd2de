"""Whom items are not linked to, who stayed unknown, and who was made of an unknown address (S4.31 to S4.41)."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models

from reconciliation.models.connection import Connection
from reconciliation.models.mailbox import Mailbox

LONGEST_ADDRESS = 254
# What a person that was made may lack, in words.
LACKS = {"FirstName": "a first name", "LastName": "a last name", "Company": "a company", "AccountId": "an account"}


class BlockedAddress(models.Model):
    """An address or a domain that nothing is created for, searched or linked: by the organisation for everybody, or by one
    mailbox for itself. One that was removed stays, so that it can be put back."""

    entry = models.CharField(max_length=LONGEST_ADDRESS)  # as `core.blocklists.blocklist_entry` writes it
    mailbox = models.ForeignKey(Mailbox, null=True, blank=True, on_delete=models.CASCADE, related_name="blocked")
    note = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    by_name = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_by_name = models.CharField(max_length=150, blank=True)

    class Meta:
        verbose_name_plural = "blocked addresses"
        constraints = [
            models.UniqueConstraint(fields=["entry"], condition=models.Q(mailbox=None, removed_at=None), name="one_block_per_entry_of_all"),
            models.UniqueConstraint(
                fields=["mailbox", "entry"], condition=models.Q(mailbox__isnull=False, removed_at=None), name="one_block_per_entry"
            ),
        ]
        indexes = [models.Index(fields=["mailbox", "entry"], name="blocked_of")]

    def __str__(self) -> str:
        return self.entry


class OwnDomain(models.Model):
    """A domain of our own: whoever has an address there is a colleague, and no contact (C20). One that is off was found among
    our users and is none of ours, a person said."""

    class Source(models.TextChoices):
        MAILBOXES = "mailboxes", "Mailboxes"
        USERS = "users", "Users of the CRM"
        PERSON = "person", "Entered"

    domain = models.CharField(max_length=253, unique=True)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.PERSON)
    is_on = models.BooleanField(default=True)
    by_name = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.domain


class UnresolvedPerson(models.Model):
    """An address that Salesforce does not know, as one mailbox met it, until somebody says who it is."""

    class State(models.TextChoices):
        OPEN = "open", "Unknown"
        DISMISSED = "dismissed", "Ignored"
        BLOCKED = "blocked", "Blocked"
        LINKED = "linked", "Linked"
        MADE = "made", "Made"
        FOUND = "found", "Known by now"

    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="unresolved")
    address = models.CharField(max_length=LONGEST_ADDRESS)
    name = models.CharField(max_length=255, blank=True)  # as the items call it
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    reason = models.TextField(blank=True)  # why nobody was made of it, in a sentence
    said = models.JSONField(default=dict, blank=True)  # what its signature says for certain
    items = models.JSONField(default=list, blank=True)  # the last items that name it: {id, kind, shown, at}
    count = models.PositiveIntegerField(default=0)  # items that name it, at least
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    # Whom a person said it is; the address is looked up as that record for this mailbox, or for all of them.
    crm_type = models.CharField(max_length=40, blank=True)
    crm_id = models.CharField(max_length=64, blank=True)
    is_for_all = models.BooleanField(default=False)
    decided_by_name = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "unresolved people"
        constraints = [models.UniqueConstraint(fields=["mailbox", "address"], name="one_row_per_unresolved_address")]
        indexes = [
            models.Index(fields=["-last_seen_at", "-id"], condition=models.Q(state="open"), name="unresolved_open"),
            models.Index(fields=["address"], condition=models.Q(state="linked"), name="unresolved_linked"),
        ]

    def __str__(self) -> str:
        return self.address

    @property
    def is_open(self) -> bool:
        return self.state == self.State.OPEN


class MadePerson(models.Model):
    """A person of the CRM that was made of an address nobody knew, or is being made: the row is the claim, so that two workers,
    a crash or a lost answer never make two."""

    class State(models.TextChoices):
        MAKING = "making", "Being made"
        MADE = "made", "Made"
        REFUSED = "refused", "Refused"
        TAKEN_BACK = "taken_back", "Taken back"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="made_people")
    address = models.CharField(max_length=LONGEST_ADDRESS)
    mailbox = models.ForeignKey(Mailbox, null=True, blank=True, on_delete=models.SET_NULL, related_name="made_people")
    state = models.CharField(max_length=10, choices=State.choices, default=State.MAKING)
    kind = models.CharField(max_length=20)  # Lead, Contact or PersonAccount
    record_id = models.CharField(max_length=64, blank=True)  # whom items name: of a Person Account its contact
    account_id = models.CharField(max_length=64, blank=True)  # of a Person Account itself
    name = models.CharField(max_length=255, blank=True)
    operation_id = models.BigIntegerField(null=True, blank=True)  # in the journal, as long as that keeps it
    item = models.JSONField(default=dict, blank=True)  # the first item that named it: {id, kind, shown}
    why = models.JSONField(default=list, blank=True)  # sentences
    missing = models.CharField(max_length=255, blank=True)  # key fields that are empty or hold a stand-in, with commas
    reason = models.TextField(blank=True)  # why it was refused
    made_at = models.DateTimeField()
    asked_at = models.DateTimeField(null=True, blank=True)  # when the CRM was last asked whether something is missing still
    completed_at = models.DateTimeField(null=True, blank=True)
    completed_by_name = models.CharField(max_length=150, blank=True)

    class Meta:
        verbose_name_plural = "made people"
        constraints = [models.UniqueConstraint(fields=["connection", "address"], name="one_made_person_per_address")]
        indexes = [
            models.Index(
                fields=["-made_at", "-id"],
                condition=models.Q(state="made", completed_at=None) & ~models.Q(missing=""),
                name="made_person_incomplete",
            ),
            models.Index(fields=["mailbox", "made_at"], name="made_person_of"),
            models.Index(fields=["state"], condition=models.Q(state="making"), name="made_person_under_way"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.record_id} of {self.address}"

    @property
    def object_type(self) -> str:
        """The object that was written: a Person Account is made through its account."""
        return "Account" if self.kind == "PersonAccount" else self.kind

    @property
    def target_id(self) -> str:
        """The id of the record that was written."""
        return self.account_id if self.kind == "PersonAccount" else self.record_id

    @property
    def lacks(self) -> list[str]:
        return [name for name in self.missing.split(",") if name]

    @property
    def lacks_in_words(self) -> list[str]:
        return [LACKS.get(name, name) for name in self.lacks]

    @property
    def url(self) -> str:
        """The address of its page for people, "" when no template is set."""
        address = self.connection.page_address_template.replace("{object}", self.object_type)
        return address.replace("{id}", self.target_id) if self.target_id else ""
