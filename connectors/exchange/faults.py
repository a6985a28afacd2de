"""What Exchange's refusals mean (reference sections 4, 5.2, 5.3 and 5.5). Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.contract import Exchange
from connectors.errors import (
    ConnectorError,
    MailboxRefused,
    NeedsAttention,
    RateLimited,
    RecordGone,
    Rejected,
    ServerTrouble,
    StaleVersion,
)
from connectors.exchange.settings import SYSTEM
from connectors.mailboxes import FOLDER_GONE, FORBIDDEN

GOOD = "NoError"
BUSY = frozenset({"ErrorServerBusy", "ErrorExceededConnectionCount", "ErrorTooManyObjectsOpened", "ErrorExceededFindCountLimit"})
NO_MAILBOX = frozenset({"ErrorNonExistentMailbox", "ErrorMissingEmailAddress", "ErrorAccountDisabled", "ErrorInvalidSmtpAddress"})
NOT_OURS = frozenset(
    {
        "ErrorImpersonateUserDenied",
        "ErrorImpersonationDenied",
        "ErrorImpersonationFailed",
        "ErrorAccessDenied",
        "ErrorCreateItemAccessDenied",
    }
)
GONE = frozenset(
    {
        "ErrorItemNotFound",
        "ErrorInvalidIdMalformed",
        "ErrorInvalidId",
        "ErrorInvalidIdEmpty",
        "ErrorInvalidIdStoreObjectIdTooLong",
        "ErrorInvalidIdXml",
        "ErrorCalendarOccurrenceIsDeletedFromRecurrence",
        "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange",
    }
)
NO_FOLDER = frozenset({"ErrorFolderNotFound", "ErrorSyncFolderNotFound", "ErrorParentFolderNotFound", "ErrorToFolderNotFound"})
STALE = frozenset({"ErrorIrresolvableConflict", "ErrorInvalidChangeKey", "ErrorStaleObject", "ErrorChangeKeyRequired"})
DEAD_STATE = "ErrorInvalidSyncStateData"
FOLDER_EXISTS = "ErrorFolderExists"
PASSING = frozenset(
    {
        "ErrorInternalServerError",
        "ErrorInternalServerTransientError",
        "ErrorTimeoutExpired",
        "ErrorMailboxStoreUnavailable",
        "ErrorMailboxMoveInProgress",
        "ErrorMailboxFailover",
        "ErrorConnectionFailed",
        "ErrorADUnavailable",
        "ErrorADOperation",
        "ErrorNotEnoughMemory",
        "ErrorInsufficientResources",
        "ErrorProxyRequestProcessingFailed",
        "ErrorNoRespondingCASInDestinationSite",
        "ErrorBatchProcessingStopped",
    }
)
WRONG_VERSION = frozenset(
    {
        "ErrorInvalidServerVersion",
        "ErrorIncorrectSchemaVersion",
        "ErrorInvalidSchemaVersionForMailboxVersion",
        "ErrorUnsupportedPathForQuery",
    }
)
UNSTATED_WAIT = 60.0
LONGEST_SAID = 400


@dataclass(frozen=True, slots=True)
class Fault:
    """One refusal: its code, what it says, and the seconds that it asks us to wait, where it does."""

    code: str
    said: str = ""
    wait: float | None = None

    @property
    def text(self) -> str:
        return f"{self.said or self.code} ({self.code})"


def error_of(
    fault: Fault, *, is_read: bool, mailbox: str = "", redact: Callable[..., str], exchange: Exchange | None = None, status: int = 200
) -> ConnectorError:
    """Returns what a refusal means. `mailbox` is whose it is, "" for the directory."""
    said = redact(fault.text, limit=LONGEST_SAID)
    common: dict[str, Any] = {"system": SYSTEM, "status": status, "code": fault.code, "exchange": exchange}
    if fault.code in BUSY:
        seconds = UNSTATED_WAIT if fault.wait is None else fault.wait
        return RateLimited(f"allows no more calls just now; waits {seconds:.0f} s", retry_after=seconds, **common)
    if fault.code in NO_MAILBOX and mailbox:
        return MailboxRefused(f"has no mailbox {mailbox} (any more), or keeps it elsewhere: {said}", is_gone=True, **common)
    if fault.code in NOT_OURS:
        common["status"] = FORBIDDEN  # as every other mail system says it
        if mailbox:
            return MailboxRefused(f"does not let the service account into the mailbox {mailbox}: {said}", **common)
        return NeedsAttention(f"does not let the service account do this: {said}", **common)
    if fault.code in GONE:
        return RecordGone(f"it is not there (any more): {said}", **common)
    if fault.code in NO_FOLDER:
        return folder_gone(said, exchange)
    if fault.code in STALE:
        return StaleVersion("the item was changed meanwhile", **common)
    if fault.code in PASSING:
        return ServerTrouble(f"failed: {said}", may_have_happened=not is_read, **common)
    if fault.code in WRONG_VERSION:
        return NeedsAttention(f"does not speak the version that is set, choose an earlier one: {said}", **common)
    return Rejected(said, **common)


def folder_gone(said: str, exchange: Exchange | None) -> RecordGone:
    """Returns what it means when a folder is not found: nothing is said about its items."""
    return RecordGone(f"our folder is not there any more: {said}", system=SYSTEM, code=FOLDER_GONE, exchange=exchange)
