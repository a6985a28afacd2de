"""What Microsoft's refusals mean (reference section 13). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.contract import Exchange
from connectors.errors import (
    ConnectorError,
    MailboxRefused,
    NeedsAttention,
    OutcomeUnknown,
    RateLimited,
    RecordGone,
    Rejected,
    ServerTrouble,
    StaleVersion,
)
from connectors.mailboxes import FOLDER_GONE
from connectors.microsoft.settings import SYSTEM

# Codes are compared without regard to case: Microsoft writes some of them in several ways.
NO_MAILBOX = frozenset({"resourcenotfound", "request_resourcenotfound", "errorinvaliduser", "mailboxnotenabledforrestapi"})
DEAD_TOKEN = frozenset({"syncstatenotfound", "resyncrequired", "syncstateinvalid"})
MALFORMED_ID = "errorinvalididmalformed"
CONFLICT = "errorirresolvableconflict"
SAVED_AT_ONCE = "concurrentitemsave"  # comes as 503, and the item may have been made
FOLDER_EXISTS = "errorfolderexists"
UNSTATED_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One refusal: its code as Microsoft writes it, and what it says."""

    code: str
    message: str

    @property
    def key(self) -> str:
        return self.code.casefold()


def read_fault(data: Any) -> Fault | None:
    """Returns the refusal in an error body, None for a body that is not Microsoft's."""
    said = data.get("error") if isinstance(data, Mapping) else None
    code = said.get("code") if isinstance(said, Mapping) else None
    if not isinstance(code, str) or not code:
        return None
    return Fault(code[:80], str(said.get("message") or "") if isinstance(said, Mapping) else "")


def is_dead_token(status: int, body: Any) -> bool:
    """Tells whether a page of changes was refused because its token is no longer known: the documentation has 410, and
    another 4xx with one of three codes."""
    fault = read_fault(body)
    return status == 410 or (400 <= status < 500 and fault is not None and fault.key in DEAD_TOKEN)


def error_of(
    status: int,
    body: Any,
    *,
    is_read: bool,
    mailbox: str = "",
    wait: float | None = None,
    redact: Callable[..., str],
    exchange: Exchange | None = None,
) -> ConnectorError:
    """Returns what an answer other than success means. `mailbox` is whose it is, "" for the directory; `wait` are the
    seconds that the answer asks for."""
    fault = read_fault(body)
    key = fault.key if fault is not None else ""
    said = redact(f"{fault.message or fault.code} ({fault.code})", limit=400) if fault is not None else f"status {status}"
    common: dict[str, Any] = {"system": SYSTEM, "status": status, "code": fault.code if fault else "", "exchange": exchange}
    if status == 429 or (status == 503 and wait is not None and key != SAVED_AT_ONCE):
        seconds = UNSTATED_WAIT if wait is None else wait
        return RateLimited(f"allows no more calls just now; waits {seconds:.0f} s", retry_after=seconds, **common)
    if status >= 500:
        return ServerTrouble(f"failed: {said}", may_have_happened=not is_read, **common)
    if fault is None or not 400 <= status < 500 or status == 408:
        is_refusal = 400 <= status < 500 and status != 408
        detail = f"sent an answer that cannot be read (status {status})"
        return OutcomeUnknown(detail, may_have_happened=not (is_read or is_refusal), **common)
    if status == 412 or key == CONFLICT:
        return StaleVersion("the contact was changed meanwhile", **common)
    if status == 401:
        return NeedsAttention(f"refuses our token: {said}", **common)
    if status == 404 and key in NO_MAILBOX and mailbox:
        return MailboxRefused(f"has no mailbox {mailbox} (any more), or keeps it elsewhere: {said}", is_gone=True, **common)
    if status == 403:
        if mailbox:
            return MailboxRefused(f"does not let our app into the mailbox {mailbox}: {said}", **common)
        return NeedsAttention(f"does not let our app do this: {said}", **common)
    if status == 404:
        return RecordGone(f"it is not there (any more): {said}", **common)
    return Rejected(said, **common)


def folder_gone(error: RecordGone) -> RecordGone:
    """Returns what it means when our own folder is not found: nothing is said about its contacts."""
    detail = "our folder of contacts is not there any more"
    return RecordGone(detail, system=SYSTEM, status=error.status, code=FOLDER_GONE, exchange=error.exchange)
