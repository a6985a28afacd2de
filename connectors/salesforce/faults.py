"""What Salesforce's refusals mean (reference sections 3.2, 6, 7.1 and 9). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.contract import Exchange, Ref, Write
from connectors.errors import (
    ConnectorError,
    MappingError,
    NeedsAttention,
    RateLimited,
    RecordGone,
    Rejected,
    ServerTrouble,
    StaleVersion,
    TakenForDuplicate,
)
from connectors.salesforce.codec import SYSTEM, full_id, read_ref
from connectors.salesforce.settings import SalesforceSettings

LOCKED = "UNABLE_TO_LOCK_ROW"
DUPLICATES = "DUPLICATES_DETECTED"
LOCATOR_GONE = "INVALID_QUERY_LOCATOR"
TOO_MANY_CALLS = "REQUEST_LIMIT_EXCEEDED"
API_OFF = frozenset({"API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED"})
_NO_OBJECT = "INVALID_TYPE"  # unknown, or hidden from our user
_UNKNOWN_FIELD = frozenset({"INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE", "INVALID_QUERY_FILTER_OPERATOR"})
_FAILED = frozenset(
    {"UNKNOWN_EXCEPTION", "APEX_ERROR", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "QUERY_TOO_COMPLICATED", "OPERATION_TOO_LARGE"}
)
_GONE = frozenset({"ENTITY_IS_DELETED", "NOT_FOUND", "INVALID_CROSS_REFERENCE_KEY"})
_CONVERTED = "CANNOT_UPDATE_CONVERTED_LEAD"
_NO_EXTERNAL_ID = re.compile(r"external ID field does not exist or is not accessible", re.IGNORECASE)
# Where a message names the field that it is about, and no list of fields does.
_NAMED = (
    re.compile(r"No such column '([\w.]+)'"),
    re.compile(r"create/update fields?: (\w+)"),
    re.compile(r"Required fields are missing: \[(\w+)"),
    re.compile(r"duplicate value found: (\w+)"),
    re.compile(r"relationship '(\w+)'"),
    re.compile(r"field '(\w+)' can ?not be"),
    re.compile(r"does not exist or is not accessible: (\w+)"),
)
_POSITION = re.compile(r"^.*ERROR at Row:\d+:Column:\d+\s*", re.DOTALL)  # the query itself stands before it
_RECORD_WITH_ID = re.compile(r"record with id: ([0-9A-Za-z]{15,18})")


@dataclass(frozen=True, slots=True)
class Fault:
    """One refusal: its code, what it says, the fields it names, and the records it takes ours for."""

    code: str
    message: str
    fields: tuple[str, ...] = ()
    refs: tuple[Ref, ...] = ()
    may_insist: bool = False

    @property
    def field(self) -> str:
        """The field it is about, "" when it names none."""
        if self.fields:
            return self.fields[0]
        return next((found[1] for pattern in _NAMED if (found := pattern.search(self.message))), "")

    @property
    def missing(self) -> tuple[str, ...]:
        """The required fields that were not sent."""
        found = re.search(r"Required fields are missing: \[([^\]]*)\]", self.message)
        return self.fields or tuple(re.findall(r"\w+", found[1]) if found else ())


def read_faults(data: Any, object_type: str = "") -> list[Fault]:
    """Returns the refusals in an error body, a list of objects; anything else holds none."""
    rows = data if isinstance(data, list) else []
    faults = [_fault(row, object_type) for row in rows if isinstance(row, Mapping)]
    return [fault for fault in faults if fault.code]


def _fault(row: Mapping[str, Any], object_type: str) -> Fault:
    named = row.get("fields")
    result = row.get("duplicateResult") or row.get("duplicateResut")  # spelt so by versions 50 to 56
    result = result if isinstance(result, Mapping) else {}
    message = str(row.get("message") or "")
    return Fault(
        code=str(row.get("errorCode") or row.get("statusCode") or "")[:60],
        message=_POSITION.sub("", message).strip(),
        fields=tuple(str(name) for name in named) if isinstance(named, list) else (),
        refs=tuple(dict.fromkeys([*_matches(result, object_type), *_held_by(message, object_type)])),
        may_insist=result.get("allowSave") is True,
    )


def _matches(result: Mapping[str, Any], object_type: str) -> Iterator[Ref]:
    """Yields the records that a duplicate rule found."""
    for match in _rows(result.get("matchResults")):
        for found in _rows(match.get("matchRecords")):
            record = found.get("record")
            record = record if isinstance(record, Mapping) else {}
            attributes = record.get("attributes")
            said = attributes.get("type") if isinstance(attributes, Mapping) else None
            ref = read_ref(record.get("Id"), str(said or match.get("entityType") or object_type))
            if ref is not None:
                yield ref


def _held_by(message: str, object_type: str) -> Iterator[Ref]:
    """Yields the record that holds a unique value already, which only the message names."""
    found = _RECORD_WITH_ID.search(message)
    ref = read_ref(full_id(found[1]), object_type) if found and object_type else None
    if ref is not None:
        yield ref


def _rows(raw: Any) -> list[Mapping[str, Any]]:
    return [row for row in raw if isinstance(row, Mapping)] if isinstance(raw, list) else []


def error_of(
    faults: list[Fault],
    *,
    status: int,
    is_read: bool,
    settings: SalesforceSettings,
    redact: Callable[..., str],
    exchange: Exchange | None = None,
) -> ConnectorError:
    """Returns what a refusal means as long as no single record is asked about. `faults` holds at least one."""
    first = faults[0]
    said = redact("; ".join(fault.message or fault.code for fault in faults), limit=400)
    common: dict[str, Any] = {"system": SYSTEM, "status": status, "code": first.code, "exchange": exchange}
    if first.code == TOO_MANY_CALLS:
        return _too_many(first, settings, common)
    if first.code in API_OFF:
        return NeedsAttention(f"does not let our user use its API: {said}", **common)
    if status == 401:
        return NeedsAttention(f"refuses our token: {said}", **common)
    if first.code == _NO_OBJECT:
        return NeedsAttention(f"has no such object, or our user may not see it: {said}", **common)
    if first.code == LOCKED:
        return StaleVersion(f"somebody else is writing this record or its account: {said}", **common)
    if first.code in _FAILED or status >= 500:
        return ServerTrouble(f"failed: {said}", may_have_happened=not is_read, **common)
    if first.code in _UNKNOWN_FIELD or _NO_EXTERNAL_ID.search(first.message):
        return MappingError(said, field=first.field, **common)
    is_hidden = status in (403, 404) or first.code.startswith("INSUFFICIENT_ACCESS")
    if is_read and is_hidden and first.code != LOCATOR_GONE:
        return NeedsAttention(f"has nothing there, or our user may not see it: {said}", **common)
    if status == 410:
        return NeedsAttention(f"no longer speaks API version {settings.api_version}; set a later one: {said}", **common)
    if first.code == DUPLICATES or first.refs:
        return TakenForDuplicate(said, refs=first.refs, may_insist=first.may_insist, field=first.field, **common)
    return Rejected(said, field=first.field, **common)


def _too_many(fault: Fault, settings: SalesforceSettings, common: dict[str, Any]) -> RateLimited:
    is_quota = "TotalRequests" in fault.message
    wait = settings.quota_wait if is_quota else settings.busy_wait
    what = "has used up its calls of the last 24 hours" if is_quota else "has too many long calls under way"
    return RateLimited(f"{what}; waits {wait:.0f} s", retry_after=wait, **common)


def record_error(
    faults: list[Fault],
    write: Write,
    *,
    status: int,
    is_there: bool | None,
    required: frozenset[str],
    settings: SalesforceSettings,
    redact: Callable[..., str],
    exchange: Exchange | None,
) -> ConnectorError:
    """Returns what the refusal of one record means. `is_there` tells whether the record was read right afterwards, None
    where nobody looked: some codes speak of the record and of what it points to alike. `required` are the fields that
    are known to be required: a record without them is at fault, a mapping without any other."""
    if status == 412:
        return StaleVersion("the record was changed meanwhile", system=SYSTEM, status=status, exchange=exchange)
    error = error_of(faults, status=status, is_read=False, settings=settings, redact=redact, exchange=exchange)
    first = faults[0]
    common: dict[str, Any] = {"system": SYSTEM, "status": status, "code": first.code, "exchange": exchange}
    if write.ref is not None and first.code == _CONVERTED:
        return RecordGone(f"the lead was converted: {error.detail}", **common)
    if write.ref is not None and first.code in _GONE and _speaks_of_itself(first, write, is_there):
        return RecordGone(error.detail, **common)
    if first.code == "REQUIRED_FIELD_MISSING":
        new = [name for name in first.missing if name not in required and name not in write.fields]
        if new:
            return MappingError(f"{new[0]} became required, and nothing fills it: {error.detail}", field=new[0], **common)
    return error


def _speaks_of_itself(fault: Fault, write: Write, is_there: bool | None) -> bool:
    """Tells whether "not there" means the record, and not one that it points to."""
    if write.is_delete:
        return True
    if fault.fields or is_there:
        return False
    return is_there is False or fault.code != "INVALID_CROSS_REFERENCE_KEY"
