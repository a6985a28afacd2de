"""What the product remembers. One file per topic; state fields name their states, transitions are guarded updates."""

from .binding import Binding, PeerName, RemoteUser
from .cases import Case, RememberedPair
from .connection import Connection
from .journal import Operation
from .mapping import FieldRule, MappingTable
from .run import Run, RunEvent
from .sync_pass import Heartbeat, PassLease, SyncPass

__all__ = [
    "Binding",
    "Case",
    "Connection",
    "FieldRule",
    "Heartbeat",
    "MappingTable",
    "Operation",
    "PassLease",
    "PeerName",
    "RememberedPair",
    "RemoteUser",
    "Run",
    "RunEvent",
    "SyncPass",
]
