"""Faults on request: what networks and servers do to a client, each by system, method and path.

Workbooks: `delay_redirect` (302 to a delaying address that answers the read; a write is lost there), `session_lost` (302
to a log-in page), `migrating` (403). Outreach: `page_too_large` (gateway's 502 above page[size] `size`), `stale_next`
(the cursor of a next link is refused). All others fit any system.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

BEFORE = (
    "status", "drop", "redirect", "expire_token", "delay_redirect", "session_lost", "migrating", "page_too_large", "stale_next",
)  # fmt: skip
KINDS = ("latency", "lost_answer", "pause", "truncate", "html", "slow", "index_lag", "clock_skew", *BEFORE)


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
        given = dict(parse_qsl(query))
        if self.kind == "stale_next" and "page[after]" not in given:
            return False
        if self.kind == "page_too_large" and int(given.get("page[size]", "50") or 0) <= int(self.options["size"]):
            return False
        return (
            (self.times is None or self.hits < self.times)
            and self.system in ("*", system)
            and self.method.upper() in ("*", method.upper())
            and self.path in ("*", path, template)
        )

    def as_dict(self) -> dict[str, Any]:
        shown = {"id": self.id, "kind": self.kind, "system": self.system, "method": self.method, "path": self.path, "hits": self.hits}
        return {**shown, "times": self.times, "probability": self.probability, **self.options}


def read_fault(data: Mapping[str, Any], id_: int) -> Fault:
    """Returns the fault that a JSON object describes. Raises ValueError with a sentence."""
    kind = data.get("kind")
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}")
    times, probability = data.get("times"), data.get("probability", 1.0)
    if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 0):
        raise ValueError("times must be a whole number")
    if not isinstance(probability, int | float) or not 0 <= probability <= 1:
        raise ValueError("probability must lie between 0 and 1")
    needs = {"status": "status", "latency": "ms", "index_lag": "seconds", "clock_skew": "seconds", "page_too_large": "size"}.get(kind)
    if needs and not isinstance(data.get(needs), int | float):
        raise ValueError(f"a {kind} fault needs {needs}")
    options = {k: v for k, v in data.items() if k not in ("kind", "system", "method", "path", "times", "probability", "id", "hits")}
    return Fault(
        id_,
        kind,
        str(data.get("system", "*")),
        str(data.get("method", "*")),
        str(data.get("path", "*")),
        times,
        float(probability),
        options,
    )


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

    def lasting(self, kind: str, system: str) -> float:
        """Returns the seconds of a lasting fault of this kind on the system, 0 when there is none."""
        return float(sum(f.options.get("seconds", 0) for f in self.all if f.kind == kind and f.system in ("*", system)))
