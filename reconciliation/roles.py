"""Who may do what: viewer sees, operator works queues and runs passes, admin changes mappings, policy and connections."""

from __future__ import annotations

VIEW, OPERATE, ADMINISTER = "reconciliation.see_pages", "reconciliation.work_queues", "reconciliation.administer"

# Group -> permissions (codenames on SyncPass). Made by migration 0002.
ROLES = {
    "viewer": ("see_pages",),
    "operator": ("see_pages", "work_queues"),
    "admin": ("see_pages", "work_queues", "administer"),
}
