"""What the product remembers. One file per topic; state fields name their states, transitions are guarded updates."""

from reconciliation.models.activity import Activity, ActivityFeed
from reconciliation.models.alerts import Alert, AlertKind, ChatHook, Message, Restart, Subscription
from reconciliation.models.audit import AuditEntry
from reconciliation.models.binding import Binding, PeerName, RemoteUser
from reconciliation.models.cases import Case, RememberedPair
from reconciliation.models.conflict import ConflictField
from reconciliation.models.connection import Connection
from reconciliation.models.differences import CoverageCount, Difference
from reconciliation.models.email import Email, EmailCopy, MailThread
from reconciliation.models.hooks import HookDelivery
from reconciliation.models.imports import Import, ImportRow, ProspectMatches
from reconciliation.models.journal import Operation
from reconciliation.models.linking import BlockedAddress, MadePerson, OwnDomain, UnresolvedPerson
from reconciliation.models.look_again import LookAgain
from reconciliation.models.mailbox import CrmFeed, CrmView, FeedChange, Mailbox, MailboxGroup, ViewMember
from reconciliation.models.mailbox_item import MailboxItem
from reconciliation.models.mapping import FieldRule, MappingTable
from reconciliation.models.mapping_version import MappingVersion
from reconciliation.models.notices import CalendarWatch, InstaSync, MeetingNotice
from reconciliation.models.owner_check import OwnerCheck
from reconciliation.models.policy import Policy
from reconciliation.models.record_type import RecordType, UserPair
from reconciliation.models.records import SearchKey, Tombstone
from reconciliation.models.retention import Forgetting, Retention
from reconciliation.models.run import Run, RunEvent
from reconciliation.models.second_factor import RoleRule, SecondFactor
from reconciliation.models.sync_pass import Heartbeat, PassLease, SyncPass

__all__ = [
    "Activity",
    "ActivityFeed",
    "Alert",
    "AlertKind",
    "AuditEntry",
    "Binding",
    "BlockedAddress",
    "CalendarWatch",
    "Case",
    "ChatHook",
    "ConflictField",
    "Connection",
    "CoverageCount",
    "CrmFeed",
    "CrmView",
    "Difference",
    "Email",
    "EmailCopy",
    "FeedChange",
    "FieldRule",
    "Forgetting",
    "Heartbeat",
    "HookDelivery",
    "Import",
    "ImportRow",
    "InstaSync",
    "LookAgain",
    "MadePerson",
    "MailThread",
    "Mailbox",
    "MailboxItem",
    "MailboxGroup",
    "MappingTable",
    "MeetingNotice",
    "Message",
    "MappingVersion",
    "Operation",
    "OwnDomain",
    "OwnerCheck",
    "PassLease",
    "PeerName",
    "Policy",
    "ProspectMatches",
    "RecordType",
    "RememberedPair",
    "RemoteUser",
    "Restart",
    "RoleRule",
    "Retention",
    "Run",
    "RunEvent",
    "SecondFactor",
    "Subscription",
    "SearchKey",
    "SyncPass",
    "Tombstone",
    "UnresolvedPerson",
    "UserPair",
    "ViewMember",
]
