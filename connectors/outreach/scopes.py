"""The OAuth scopes we ask Outreach for, no more than the pass needs. They do not add up: `write` is without `read`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope, what it is called in a connection test, and what we do with it."""

    name: str
    title: str
    purpose: str
    is_optional: bool = False


SCOPES = (
    Scope("accounts.read", "Read accounts", "to find accounts of the same name, and to compare before anything is written"),
    Scope("accounts.write", "Write accounts", "to create accounts, and to send the fields that changed"),
    Scope("prospects.read", "Read prospects", "to find the prospects of an organisation's people"),
    Scope("prospects.write", "Write prospects", "to hang a prospect on the right account"),
    Scope("users.read", "Read users", "to set the owner by username"),
    Scope(
        "tasks.read",
        "Read tasks",
        "to show how many tasks of a prospect are active, before its link is changed, and to put completed ones into Salesforce",
        is_optional=True,
    ),
    Scope(
        "sequenceStates.read",
        "Read sequence states",
        "to show in how many sequences a prospect is, before its link is changed",
        is_optional=True,
    ),
    Scope("mailings.read", "Read mailings", "to put delivered mails into Salesforce, where activities are synced", is_optional=True),
    Scope("calls.read", "Read calls", "to put logged calls into Salesforce, where activities are synced", is_optional=True),
    Scope("webhooks.all", "Keep webhooks", "only to be told of changes at once, when an admin switches the receiver on", is_optional=True),
    Scope(
        "accounts.delete", "Delete accounts", "only to take back an account that we created, when somebody presses Undo", is_optional=True
    ),
)
ALL = " ".join(scope.name for scope in SCOPES)


def is_granted(scope: str, granted: str) -> bool:
    """Tells whether the granted scopes cover this one, by itself or by `….all`."""
    words = granted.replace(",", " ").split()
    return scope in words or f"{scope.split('.')[0]}.all" in words
