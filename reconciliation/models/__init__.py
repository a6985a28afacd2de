"""What the product remembers. One file per topic; state fields name their states, transitions are guarded updates."""

from reconciliation.models.audit import AuditEntry
from reconciliation.models.binding import Binding, PeerName, RemoteUser
from reconciliation.models.cases import Case, RememberedPair
from reconciliation.models.connection import Connection
from reconciliation.models.journal import Operation
from reconciliation.models.mapping import FieldRule, MappingTable
from reconciliation.models.owner_check import OwnerCheck
from reconciliation.models.policy import Policy
from reconciliation.models.run import Run, RunEvent
from reconciliation.models.sync_pass import Heartbeat, PassLease, SyncPass

__all__ = [
    "AuditEntry",
    "Binding",
    "Case",
    "Connection",
    "FieldRule",
    "Heartbeat",
    "MappingTable",
    "Operation",
    "OwnerCheck",
    "PassLease",
    "PeerName",
    "Policy",
    "RememberedPair",
    "RemoteUser",
    "Run",
    "RunEvent",
    "SyncPass",
]
