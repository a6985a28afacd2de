"""Faults on request: what networks and servers do to a client, each by system, method and path.

Workbooks: `delay_redirect` (302 to a delaying address that answers the read; a write is lost there), `session_lost` (302
to a log-in page), `migrating` (403). Outreach: `page_too_large` (gateway's 502 for a list read above page[size] `size`),
`stale_next` (the cursor of a next link is refused), `index_lag` (searches answer by what records held `seconds` ago).
Salesforce: `lock_row` (UNABLE_TO_LOCK_ROW for the rows that a write touches, or those of and under `record`),
`concurrent_limit` (403), `stale_locator` (the next page of a query is refused); its `status` takes `code` and `message`.
Microsoft: `stale_delta` (the token of a delta round is dead; `form` says how that is answered, `where` next or delta is which
token); its `status` takes `code` and `message`. A `status` or `stale_delta` that names a path also strikes parts of a batch.
Google: its `status` takes `code` (RATE_LIMIT_EXCEEDED, rateLimitExceeded, SERVICE_DISABLED, EXPIRED_SYNC_TOKEN …) and `message`.
Exchange: its `status` takes `code` and `message`: 200 with a code refuses each item of the call, any other a SOAP fault;
`path` names an operation, `/EWS/Exchange.asmx/FindItem`.
All others fit any system. The systems themselves say what a fault answers; here is when it strikes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from connectors.sandbox.microsoft.switches import FORMS
from connectors.sandbox.paths import LISTS, PATHS, is_known
from connectors.sandbox.wire import read_id

BEFORE = (
    "status", "drop", "redirect", "expire_token", "delay_redirect", "session_lost", "migrating", "page_too_large", "stale_next",
    "concurrent_limit", "stale_locator", "stale_delta",
)  # fmt: skip
KINDS = ("latency", "lost_answer", "pause", "truncate", "html", "slow", "index_lag", "clock_skew", "lock_row", *BEFORE)
ONLY = {
    **dict.fromkeys(("delay_redirect", "session_lost", "migrating"), "workbooks"),
    **dict.fromkeys(("page_too_large", "stale_next", "index_lag"), "outreach"),
    **dict.fromkeys(("lock_row", "concurrent_limit", "stale_locator"), "salesforce"),
    "stale_delta": "microsoft",
}
METHODS = ("*", "GET", "POST", "PUT", "PATCH", "DELETE")
NEEDS = {"status": "status", "latency": "ms", "index_lag": "seconds", "clock_skew": "seconds", "page_too_large": "size"}
LONGEST = 100 * 365 * 86400.0  # seconds: clocks stay within a hundred years of the present, so that every date can be said
DEFAULT_PAGE = 50
WHERE = {"next": "$skiptoken", "delta": "$deltatoken"}


@dataclass(slots=True)
class Fault:
    """One fault. `times` None: for ever; `probability` 1: every time it fits."""

    id: int
    kind: str
    system: str = "*"
    method: str = "*"
    path: str = "*"
    times: int | None = None
    probability: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)
    hits: int = 0

    def fits(self, system: str, method: str, path: str, template: str, query: str = "") -> bool:
        return (
            (self.times is None or self.hits < self.times)
            and self.system in ("*", system)
            and ONLY.get(self.kind, system) == system
            and self.method in ("*", method.upper())
            and self.path in ("*", path, template)
            and self._fits_page(method, template, query)
        )

    def _fits_page(self, method: str, template: str, query: str) -> bool:
        """Tells whether the faults of pages find theirs: a list read above a size, or one behind a cursor; and that of
        locked rows a write."""
        if self.kind == "stale_locator":
            return template.endswith("/{locator}")
        if self.kind == "lock_row":
            return method != "GET" and template.startswith("/services/data/")
        if self.kind not in ("page_too_large", "stale_next", "stale_delta"):
            return True
        given = dict(parse_qsl(query))
        if self.kind == "stale_delta":
            return any(WHERE[word] in given for word in WHERE if self.options.get("where", word) == word)
        if self.kind == "stale_next":
            return "page[after]" in given
        size = read_id(given.get("page[size]", given.get("page[limit]", str(DEFAULT_PAGE))))
        return method == "GET" and template in LISTS and size is not None and size > self.options["size"]

    def as_dict(self) -> dict[str, Any]:
        shown = {"id": self.id, "kind": self.kind, "system": self.system, "method": self.method, "path": self.path, "hits": self.hits}
        return {**shown, "times": self.times, "probability": self.probability, **self.options}


def read_fault(data: Mapping[str, Any], id_: int) -> Fault:
    """Returns the fault that a JSON object describes. Raises ValueError with a sentence."""
    kind = data.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}")
    times, probability = data.get("times"), data.get("probability", 1.0)
    if times is not None and not _is_whole(times, 0):
        raise ValueError("times must be a whole number")
    if not _is_number(probability) or not 0 <= probability <= 1:
        raise ValueError("probability must lie between 0 and 1")
    options = {k: v for k, v in data.items() if k not in ("kind", "system", "method", "path", "times", "probability", "id", "hits")}
    _check_options(str(kind), options)
    system, method, path = (str(data.get(name, "*")) for name in ("system", "method", "path"))
    _check_place(str(kind), system, method.upper(), path)
    return Fault(id_, str(kind), system, method.upper(), path, times, float(probability), options)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any, low: int, high: int = 10**9) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _check_options(kind: str, options: Mapping[str, Any]) -> None:
    """Raises ValueError for a number that a fault needs and lacks, or that lies where no fault can."""
    needs = NEEDS.get(kind)
    value = options.get(needs or "")
    if needs and not _is_number(value):
        raise ValueError(f"a {kind} fault needs {needs}")
    if needs == "status" and not _is_whole(value, 100, 599):
        raise ValueError("status must be a whole number between 100 and 599")
    if needs == "size" and not _is_whole(value, 0):
        raise ValueError("size must be a whole number")
    if needs == "ms" and not 0 <= value <= 10**9:  # type: ignore[operator]
        raise ValueError("ms must not be negative, nor above a billion")
    least = -LONGEST if kind == "clock_skew" else 0  # a clock may also be slow
    if needs == "seconds" and not least <= value <= LONGEST:  # type: ignore[operator]
        raise ValueError(f"seconds of a {kind} fault must lie between {least:.0f} and {LONGEST:.0f}")
    if kind == "stale_delta" and (options.get("form", "gone") not in FORMS or options.get("where", "next") not in WHERE):
        raise ValueError(f"form of a stale_delta fault is one of {', '.join(FORMS)}, where one of {', '.join(WHERE)}")
    for name in ("code", "message", "record"):
        if not isinstance(options.get(name, ""), str) or not str(options.get(name, "")).isprintable():
            raise ValueError(f"{name} must be a text")
    wait = options.get("retry_after")
    if wait is not None and not (_is_number(wait) and 0 <= wait <= LONGEST) and not (isinstance(wait, str) and wait.isprintable()):
        raise ValueError("retry_after must be a number of seconds or a text")


def _check_place(kind: str, system: str, method: str, path: str) -> None:
    """Raises ValueError for a system, method or path where this fault could never strike."""
    if system not in ("*", *PATHS):
        raise ValueError(f"there is no system {system!r}; take {', '.join(PATHS)} or *")
    if ONLY.get(kind, system) != system != "*":
        raise ValueError(f"{kind} is a fault of {ONLY[kind]} only")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}")
    if path != "*" and not is_known(system, path):
        place = ONLY.get(kind, system)
        examples = {
            "workbooks": "/crm/organisations.api",
            "salesforce": "/services/data/{v}/sobjects/Contact/{id}",
            "microsoft": "/v1.0/users/{id}/contacts/{id}",
            "google": "/v1/people/{id}",
            "exchange": "/EWS/Exchange.asmx/FindItem",
        }
        example = examples.get(place, "/api/v2/accounts/{id}")
        raise ValueError(f"no call has the path {path!r}; take * or one like {example}")


class Faults:
    """The faults in force. Deterministic from the seed."""

    def __init__(self, seed: int) -> None:
        self.all: list[Fault] = []
        self._random = random.Random(seed)
        self._next_id = 1

    def add(self, data: Mapping[str, Any]) -> Fault:
        fault = read_fault(data, self._next_id)
        self._next_id += 1
        self.all.append(fault)
        return fault

    def clear(self) -> None:
        self.all.clear()

    def for_call(self, system: str, method: str, path: str, template: str, query: str = "") -> list[Fault]:
        """Returns the faults that hit this call, and counts them. Lasting ones (index_lag, clock_skew) do not count."""
        hit = []
        for fault in self.all:
            if fault.kind in ("index_lag", "clock_skew") or not fault.fits(system, method, path, template, query):
                continue
            if fault.probability >= 1 or self._random.random() < fault.probability:
                fault.hits += 1
                hit.append(fault)
        return hit

    def for_part(self, system: str, method: str, path: str, template: str, query: str) -> Fault | None:
        """Returns the fault that strikes a part of a batch, and counts it: one that names a path, as the whole call is struck by
        those that do not."""
        for fault in self.all:
            if fault.kind not in ("status", "stale_delta") or fault.path == "*" or not fault.fits(system, method, path, template, query):
                continue
            if fault.probability >= 1 or self._random.random() < fault.probability:
                fault.hits += 1
                return fault
        return None

    def lasting(self, kind: str, system: str) -> float:
        """Returns the seconds of a lasting fault of this kind on the system, 0 when there is none."""
        return float(sum(f.options.get("seconds", 0) for f in self.all if f.kind == kind and f.system in ("*", system)))
