"""What the Gmail API knows: the types of its bodies, scopes, system labels and colours.

Types are written as in `schema`, taken from the reference's list of types.
"""

from __future__ import annotations

from connectors.sandbox.google.schema import SCOPE, types_of

SERVICE = "gmail.googleapis.com"
_SCOPE = f"{SCOPE}gmail."
EVERYTHING = "https://mail.google.com/"  # the only scope that may delete for good
METADATA = f"{_SCOPE}metadata"
MODIFIES = frozenset((EVERYTHING, f"{_SCOPE}modify"))
READS = MODIFIES | {f"{_SCOPE}readonly"}
READS_METADATA = READS | {METADATA}
READS_LABELS = READS_METADATA | {f"{_SCOPE}labels"}
WRITES_LABELS = MODIFIES | {f"{_SCOPE}labels"}
DELETES = frozenset((EVERYTHING,))

_TYPES = {
    "BatchDeleteMessagesRequest": "ids:[string]",
    "BatchModifyMessagesRequest": (
        "ids:[string] addLabelIds:[string] removeLabelIds:[string] addClassificationLabels:[ClassificationLabelValue] "
        "removeClassificationLabelIds:[string]"
    ),
    "ClassificationLabelFieldValue": "fieldId selection",
    "ClassificationLabelValue": "fields:[ClassificationLabelFieldValue] labelId",
    "Label": (
        "color:LabelColor id labelListVisibility:enum(labelShow|labelShowIfUnread|labelHide) messageListVisibility:enum(show|hide) "
        "messagesTotal:int messagesUnread:int name threadsTotal:int threadsUnread:int type:enum(system|user)"
    ),
    "LabelColor": "backgroundColor textColor",
    "Message": (
        "classificationLabelValues:[ClassificationLabelValue] historyId id internalDate labelIds:[string] payload:MessagePart raw "
        "sizeEstimate:int snippet threadId"
    ),
    "MessagePart": "body:MessagePartBody filename headers:[MessagePartHeader] mimeType partId parts:[MessagePart]",
    "MessagePartBody": "attachmentId data size:int",
    "MessagePartHeader": "name value",
    "ModifyMessageRequest": (
        "addLabelIds:[string] removeLabelIds:[string] addClassificationLabels:[ClassificationLabelValue] "
        "removeClassificationLabelIds:[string]"
    ),
    "ModifyThreadRequest": "addLabelIds:[string] removeLabelIds:[string]",
    "WatchRequest": "labelFilterAction:enum(include|exclude) labelFilterBehavior:enum(include|exclude) labelIds:[string] topicName",
}
TYPES = types_of(_TYPES)

INBOX, SENT, DRAFT, TRASH, SPAM, UNREAD = "INBOX", "SENT", "DRAFT", "TRASH", "SPAM", "UNREAD"
STARRED, IMPORTANT, CHAT = "STARRED", "IMPORTANT", "CHAT"
CATEGORIES = {
    "primary": "CATEGORY_PERSONAL", "personal": "CATEGORY_PERSONAL", "social": "CATEGORY_SOCIAL",
    "promotions": "CATEGORY_PROMOTIONS", "updates": "CATEGORY_UPDATES", "forums": "CATEGORY_FORUMS",
}  # fmt: skip
CATEGORY_LABELS = tuple(dict.fromkeys(CATEGORIES.values()))
SYSTEM_LABELS = (CHAT, SENT, INBOX, IMPORTANT, TRASH, DRAFT, SPAM, *CATEGORY_LABELS, STARRED, UNREAD)
HIDDEN_LABELS = (CHAT, IMPORTANT, TRASH, SPAM, *CATEGORY_LABELS)  # not shown in Gmail's own list of labels
OWN_LABELS = (SENT, DRAFT, CHAT)  # Gmail sets them: nobody adds or removes these
# Names that no label of a user may have, whatever their case.
_PLACES = ("drafts", "sent mail", "all mail", "chats", "bin", "outbox", "scheduled", "snoozed", "muted")
RESERVED_NAMES = frozenset((*(name.lower() for name in SYSTEM_LABELS), *_PLACES))
MOST_LABELS, LONGEST_LABEL = 10_000, 225

_COLORS = """
    000000 434343 666666 999999 cccccc efefef f3f3f3 ffffff fb4c2f ffad47 fad165 16a766 43d692 4a86e8 a479e2 f691b3 f6c5be ffe6c7 fef1d1
    b9e4d0 c6f3de c9daf8 e4d7f5 fcdee8 efa093 ffd6a2 fce8b3 89d3b2 a0eac9 a4c2f4 d0bcf1 fbc8d9 e66550 ffbc6b fcda83 44b984 68dfa9 6d9eeb
    b694e8 f7a7c0 cc3a21 eaa041 f2c960 149e60 3dc789 3c78d8 8e63ce e07798 ac2b16 cf8933 d5ae49 0b804b 2a9c68 285bac 653e9b b65775 822111
    a46a21 aa8831 076239 1a764d 1c4587 41236d 83334c 464646 e7e7e7 0d3472 b6cff5 0d3b44 98d7e4 3d188e e3d7ff 711a36 fbd3e0 8a1c0a f2b2a8
    7a2e0b ffc8af 7a4706 ffdeb5 594c05 fbe983 684e07 fdedc1 0b4f30 b3efd3 04502e a2dcc1 c2c2c2 4986e7 2da2bb b99aff 994a64 ff7537 ffad46
    662e37 ebdbde cca6ac 094228 42d692 16a765 757575 1e53b8 007286 7858c3 c2185b d93025 54240e 633e04 521d28 202124 083018
"""
COLORS = frozenset(_COLORS.split())
