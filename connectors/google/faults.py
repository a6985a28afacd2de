"""What Google's refusals mean, in both of its error shapes and in the parts of a batch (reference section 3). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.contract import Exchange
from connectors.errors import ConnectorError, MailboxRefused, NeedsAttention, RateLimited, RecordGone, Rejected, ServerTrouble, StaleVersion
from connectors.google.apis import PEOPLE, Api
from connectors.google.settings import SYSTEM, GoogleSettings

SYNC_OVER = "EXPIRED_SYNC_TOKEN"
EXISTS = "ALREADY_EXISTS"
DELETED = "deleted"  # a 410 that speaks of one event, and of no sync token
BUSY_WAIT = 5.0  # two changes of one mailbox at a time: the other one is over soon
_QUOTA = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"}
)
_DAILY = frozenset({"dailyLimitExceeded"})
_NO_SCOPE = frozenset({"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})
_API_OFF = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})
_TAKEN = frozenset({EXISTS, "duplicate"})
_UNMET = frozenset({"FAILED_PRECONDITION", "failedPrecondition", "conditionNotMet"})
_STATUS_OF = {  # google.rpc.Code to HTTP
    1: 499,
    2: 500,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    13: 500,
    14: 503,
    15: 500,
    16: 401,
}
_NAME_OF = {3: "INVALID_ARGUMENT", 5: "NOT_FOUND", 6: EXISTS, 7: "PERMISSION_DENIED", 8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One refusal: the HTTP status that goes with it, what it says, and by what words it can be told apart."""

    status: int
    message: str
    reasons: frozenset[str] = frozenset()
    code: str = ""  # the most telling of the reasons
    service: str = ""  # the API that is switched off, or whose quota is used up
    consumer: str = ""  # the project whose app we are

    @property
    def is_over(self) -> bool:
        """Whether a sync token ended: 400 with the reason at People; Calendar says 410, often without one."""
        says_so = bool(self.reasons & _UNMET) and "sync token" in self.message.lower()
        return SYNC_OVER in self.reasons or says_so or (self.status == 410 and DELETED not in self.reasons)

    @property
    def is_stale(self) -> bool:
        """Whether the etag is of an earlier version. Mostly a 400, and told from others by its message alone."""
        says_etag = "etag" in self.message.lower()
        is_unmet = bool(self.reasons & _UNMET) and not self.message
        return self.status == 412 or (self.status in (400, 403) and (says_etag or is_unmet))

    @property
    def is_missing(self) -> bool:
        return self.status == 404 or "notFound" in self.reasons or (self.status == 410 and not self.is_over)


def read_fault(data: Any, status: int) -> Fault | None:
    """Returns the refusal in an error body of either shape, None when it is none of Google's own."""
    said = data.get("error") if isinstance(data, Mapping) else None
    if not isinstance(said, Mapping) or not (said.get("code") or said.get("status") or said.get("errors")):
        return None
    infos = [row for row in _rows(said.get("details")) if isinstance(row.get("reason"), str)]
    older = [row for row in _rows(said.get("errors")) if isinstance(row.get("reason"), str)]
    meta: Mapping[str, Any] = next((row["metadata"] for row in infos if isinstance(row.get("metadata"), Mapping)), {})
    words = [str(row["reason"]) for row in (*infos, *older)] + [str(said.get("status") or "")]
    words = [word[:80] for word in words if word]
    return Fault(
        status,
        str(said.get("message") or ""),
        frozenset(words),
        words[0] if words else str(status),
        service=str(meta.get("serviceTitle") or meta.get("service") or "")[:80],
        consumer=str(meta.get("consumer") or "")[:80],
    )


def part_fault(part: Mapping[str, Any]) -> Fault | None:
    """Returns the refusal of one part of a batch, None where the part went well."""
    status = part.get("status")
    said: Mapping[str, Any] = status if isinstance(status, Mapping) else {}
    code, http = said.get("code"), part.get("httpStatusCode")
    code = code if isinstance(code, int) and not isinstance(code, bool) else 0
    http = http if isinstance(http, int) and not isinstance(http, bool) and 100 <= http < 600 else 0
    if not code and (not http or http == 200):
        return None
    name = _NAME_OF.get(code, "")
    infos = [str(row["reason"])[:80] for row in _rows(said.get("details")) if isinstance(row.get("reason"), str)]
    words = [*infos, *([name] if name else [])]
    found = http if http >= 400 else _STATUS_OF.get(code, 500)
    return Fault(found, str(said.get("message") or ""), frozenset(words), words[0] if words else str(found))


def _rows(raw: Any) -> list[Mapping[str, Any]]:
    return [row for row in raw if isinstance(row, Mapping)] if isinstance(raw, list) else []


@dataclass(frozen=True, slots=True)
class Judge:
    """What refusals mean to one mailbox. `address`: "" for the connection itself. `lacking`: what a missing scope means,
    which depends on the log-in. `api`: whose refusals these are."""

    settings: GoogleSettings
    address: str
    lacking: Callable[[list[str]], NeedsAttention]
    api: Api = PEOPLE

    def error(
        self,
        fault: Fault,
        *,
        is_read: bool,
        redact: Callable[..., str],
        exchange: Exchange | None = None,
        scopes: Sequence[str] = (),
        wait: float | None = None,
        is_of_record: bool = False,
    ) -> ConnectorError:
        """Returns what a refusal means. `scopes` are those that the call needs, `wait` is what the answer itself asks for.
        `is_of_record`: the call named one record, whose lack or lock is its own matter, and not the mailbox's."""
        said = redact(fault.message or fault.code, limit=400)
        is_over = fault.is_over and not is_of_record
        code = SYNC_OVER if is_over else fault.code
        common: dict[str, Any] = {"system": SYSTEM, "status": fault.status, "code": code, "exchange": exchange}
        if is_over:
            return Rejected(f"no longer takes where we stood in its list of changes: {said}", **common)
        if fault.is_stale and not is_read:
            return StaleVersion(f"the {self.api.thing} was changed meanwhile", **common)
        if fault.reasons & _QUOTA or fault.status == 429:
            return self._too_many(fault, wait, common)
        if fault.status >= 500:
            return ServerTrouble(f"failed: {said}", may_have_happened=not is_read, **common)
        if fault.status == 401:
            return self.refused(f"refuses our token: {said}", **common)
        if fault.reasons & _NO_SCOPE:
            error = self.lacking(list(scopes))
            error.status, error.code, error.exchange = fault.status, fault.code, exchange
            return error
        if fault.reasons & _API_OFF:
            api, project = fault.service or self.api.name, f" for {fault.consumer}" if fault.consumer else ""
            return NeedsAttention(
                f"has the {api} switched off{project}; switch it on in the Cloud console (APIs and services, Library): {said}", **common
            )
        if (fault.is_missing or fault.status == 410) and (is_of_record or not is_read):
            return RecordGone(said, **common)
        if fault.is_missing:
            return self.refused(f"has no {self.api.things} there, or we may not see them: {said}", **common)
        if fault.status == 403 and not (is_of_record and not is_read):
            return self.refused(f"does not let us use these {self.api.things}: {said}", **common)
        if fault.status == 409 and not fault.reasons & _TAKEN:
            return RateLimited("is busy with another change of this mailbox", retry_after=BUSY_WAIT, **common)
        return Rejected(said, **common)

    def refused(self, detail: str, **common: Any) -> NeedsAttention:
        """Returns the error for what is refused of this mailbox only, or of the connection where there is no mailbox."""
        if not self.address:
            return NeedsAttention(detail, **common)
        return MailboxRefused(f"{self.address}: {detail}", **common)

    def _too_many(self, fault: Fault, wait: float | None, common: dict[str, Any]) -> RateLimited:
        is_daily = bool(fault.reasons & _DAILY)
        seconds = wait if wait is not None else (self.settings.quota_wait if is_daily else self.settings.busy_wait)
        what = "allows no more calls today" if is_daily else "allows no more calls just now"
        return RateLimited(f"{what}; waits {seconds:.0f} s", retry_after=seconds, **common)
