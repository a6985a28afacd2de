"""What the product remembers. One file per topic; state fields name their states, transitions are guarded updates."""

from reconciliation.models.audit import AuditEntry
from reconciliation.models.binding import Binding, PeerName, RemoteUser
from reconciliation.models.cases import Case, RememberedPair
from reconciliation.models.connection import Connection
from reconciliation.models.journal import Operation
from reconciliation.models.mapping import FieldRule, MappingTable
from reconciliation.models.mapping_version import MappingVersion
from reconciliation.models.retention import Forgetting, Retention
from reconciliation.models.run import Run, RunEvent
from reconciliation.models.sync_pass import Heartbeat, PassLease, SyncPass

__all__ = [
    "AuditEntry",
    "Binding",
    "Case",
    "Connection",
    "FieldRule",
    "Forgetting",
    "Heartbeat",
    "MappingTable",
    "MappingVersion",
    "Operation",
    "PassLease",
    "PeerName",
    "RememberedPair",
    "RemoteUser",
    "Retention",
    "Run",
    "RunEvent",
    "SyncPass",
]
