"""Who may do what: viewer sees, operator works queues and runs passes, admin changes mappings, policy and connections;
a mailbox user sees the own mailbox and nothing else."""

from __future__ import annotations

VIEW, OPERATE, ADMINISTER = "reconciliation.see_pages", "reconciliation.work_queues", "reconciliation.administer"
OWN_MAILBOX = "reconciliation.see_own_mailbox"  # all that a mailbox user may
MAILBOX_USER = "mailbox user"

# Group -> permissions (codenames on SyncPass). Made by migration 0002.
ROLES = {
    "viewer": ("see_pages",),
    "operator": ("see_pages", "work_queues"),
    "admin": ("see_pages", "work_queues", "administer"),
    MAILBOX_USER: ("see_own_mailbox",),
}
STAFF_ROLES = tuple(name for name in ROLES if name != MAILBOX_USER)  # a mailbox user logs in by a link, to one page
