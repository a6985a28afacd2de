"""The control port: JSON for tools (reset, load, faults, calls, records, clock, limits, switches), pages for people."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from connectors.sandbox.exchange.system import ExchangeSystem
from connectors.sandbox.google.quotas import READS, WRITES
from connectors.sandbox.google.system import GoogleSystem
from connectors.sandbox.microsoft.limits import PER_10_MINUTES
from connectors.sandbox.microsoft.system import MicrosoftSystem
from connectors.sandbox.outreach.system import OutreachSystem
from connectors.sandbox.pages import Pages
from connectors.sandbox.salesforce.limits import PER_DAY
from connectors.sandbox.salesforce.system import SalesforceSystem
from connectors.sandbox.scenarios import load_csv
from connectors.sandbox.wire import Request, Response, read_id, read_json
from connectors.sandbox.world import PORTS, World


class Refused(Exception):
    """A control request that makes no sense: status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Control:
    """Answers the control port of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pages = Pages(world)

    def handle(self, request: Request) -> Response:
        try:
            wants_page = "text/html" in request.headers.get("accept", "")
            if request.path in ("/style.css",) or request.path.startswith("/browse") or (request.path == "/" and wants_page):
                return self._pages.handle(request)
            with self._world.lock:
                return _json(200, self._route(request))
        except Refused as error:
            return _json(error.status, {"error": str(error)})
        except (ValueError, KeyError, TypeError) as error:
            return _json(400, {"error": str(error) or type(error).__name__})
        except Exception as error:  # a defect of the sandbox: the caller is told, the connection lives
            traceback.print_exc()
            return _json(500, {"error": f"the sandbox failed: {type(error).__name__}"})

    def _route(self, request: Request) -> Any:
        parts = [unquote(p) for p in request.path.split("/") if p]
        if not parts:
            return self._describe()
        if parts[0] == "records" and len(parts) in (3, 4):
            return self._records(request, parts[1:])
        routes: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("POST", "/reset"): self._reset,
            ("POST", "/load"): lambda r: self._changed(load_csv(self._world, r.body)),
            ("GET", "/faults"): lambda r: {"faults": [f.as_dict() for f in self._world.faults.all]},
            ("POST", "/faults"): lambda r: self._world.faults.add(_object(r)).as_dict(),
            ("DELETE", "/faults"): self._clear_faults,
            ("GET", "/calls"): self._calls,
            ("DELETE", "/calls"): self._forget_calls,
            ("GET", "/mails"): self._mails,
            ("POST", "/clock"): self._clock,
            ("POST", "/limits"): self._limits,
            ("GET", "/switches"): lambda r: self._all_switches(),
            ("POST", "/switches"): self._switches,
            ("POST", "/salesforce/merge"): lambda r: self._changed(self._world.salesforce.merge(_object(r))),
            ("POST", "/salesforce/convert"): lambda r: self._changed(self._world.salesforce.convert(_object(r))),
            ("POST", "/microsoft/empty"): lambda r: self._changed(self._world.microsoft.empty(_object(r))),
            ("POST", "/microsoft/messages"): lambda r: self._changed(self._world.microsoft.create_messages(_object(r))),
            ("POST", "/microsoft/lifecycle"): lambda r: self._changed(self._world.microsoft.lifecycle(_object(r))),
            ("POST", "/microsoft/expire_delta"): lambda r: self._changed(self._world.microsoft.expire_delta()),
            ("POST", "/exchange/empty"): lambda r: self._changed(self._world.exchange.by_hand.empty(_object(r))),
            ("POST", "/exchange/messages"): lambda r: self._changed(self._world.exchange.by_hand.create_messages(_object(r))),
            ("POST", "/exchange/expire_sync"): lambda r: self._changed(self._world.exchange.expire_sync()),
            ("POST", "/google/empty"): lambda r: self._changed(self._world.google.by_hand.empty(_object(r))),
            ("POST", "/google/messages"): lambda r: self._changed(self._world.google.gmail.by_hand.create_many(_object(r))),
            ("POST", "/google/expire_history"): lambda r: self._changed(self._world.google.gmail.by_hand.expire_history(_object(r))),
            ("POST", "/google/rename"): lambda r: self._changed(self._world.google.by_hand.rename(_object(r))),
            ("POST", "/faults/release"): lambda r: {"released": self._world.release()},
        }
        route = routes.get((request.method, request.path.rstrip("/")))
        if route is None:
            raise Refused(404, f"there is nothing at {request.method} {request.path}")
        return route(request)

    def _describe(self) -> dict[str, Any]:
        described: dict[str, Any] = {"world_id": self._world.world_id}
        for name in PORTS:
            system = self._world.systems[name]
            urls = {"base_url": self._world.base_urls.get(name, ""), "web_url": self._world.web_url(name)}
            described[name] = {**urls, **system.credentials()}
        self._world.keep()
        return described

    def _changed(self, answer: Any) -> Any:
        self._world.keep()
        return answer

    def _reset(self, request: Request) -> Any:
        self._world.reset(str(_object(request).get("scenario", "empty")))
        return {"world_id": self._world.world_id}

    def _clear_faults(self, request: Request) -> Any:
        self._world.faults.clear()
        return {"faults": [], "released": self._world.release()}

    def _calls(self, request: Request) -> Any:
        most = read_id(parse_qs(request.query).get("limit", ["10000"])[0])
        if most is None:
            raise Refused(400, "limit must be a whole number")
        calls = list(self._world.calls)[-most:] if most else []
        counts = {name: dict(counts) for name, counts in self._world.counts.items()}
        return {"calls": calls, "counts": counts, "units": dict(self._world.units)}

    def _forget_calls(self, request: Request) -> Any:
        self._world.forget_calls()
        return {"calls": [], "counts": {name: {} for name in PORTS}}

    def _mails(self, request: Request) -> Any:
        """Returns the mails that the systems sent to people, with `?system=` those of one."""
        wanted = parse_qs(request.query).get("system", list(PORTS))
        if unknown := [name for name in wanted if name not in PORTS]:
            raise Refused(400, f"there is no system {unknown[0][:40]!r}; take {' or '.join(PORTS)}")
        return {"mails": [mail for name in wanted for mail in getattr(self._world.systems[name], "mails", [])]}

    def _clock(self, request: Request) -> Any:
        seconds = _object(request).get("advance")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool):
            raise Refused(400, "advance must be a number of seconds")
        self._world.advance(seconds)
        return {"now": self._world.now().isoformat()}

    def _limits(self, request: Request) -> Any:
        """Sets how many calls Outreach allows an hour, Salesforce in 24, a Microsoft mailbox in 10 minutes and at once, and Google a
        user a minute; the rest stays."""
        known: dict[str, tuple[str, ...]] = {"outreach": ("per_hour",), "salesforce": ("per_day",)}
        given = _parts(request, {**known, "microsoft": ("per_10_minutes", "concurrent"), "google": (READS, WRITES)})
        outreach, salesforce = self._world.outreach, self._world.salesforce.limits
        per_hour = given["outreach"].get("per_hour", outreach.per_hour)
        per_day = given["salesforce"].get("per_day", salesforce.per_day)
        box = self._world.microsoft.limits
        per_10_minutes = given["microsoft"].get("per_10_minutes", box.per_10_minutes)
        concurrent = given["microsoft"].get("concurrent", box.concurrent)
        google = {**self._world.google.quotas.limits, **given["google"]}
        named = (("per_hour", per_hour), ("per_day", per_day), ("per_10_minutes", per_10_minutes), ("concurrent", concurrent))
        for name, limit in (*named, *google.items()):
            if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
                raise Refused(400, f"{name} must be a whole number or null")
        outreach.per_hour = per_hour
        self._world.google.quotas.limits = google
        salesforce.per_day = PER_DAY if per_day is None else per_day
        box.per_10_minutes = PER_10_MINUTES if per_10_minutes is None else per_10_minutes
        box.concurrent = concurrent
        used = {"per_day": salesforce.per_day, "used": salesforce.used()}
        mailbox = {"per_10_minutes": box.per_10_minutes, "concurrent": box.concurrent}
        return self._changed({"outreach": {"per_hour": per_hour}, "salesforce": used, "microsoft": mailbox, "google": google})

    def _all_switches(self) -> dict[str, Any]:
        return {name: system.switches() for name, system in self._switched().items()}

    def _switched(self) -> dict[str, OutreachSystem | SalesforceSystem | MicrosoftSystem | GoogleSystem | ExchangeSystem]:
        world = self._world
        return {
            "outreach": world.outreach,
            "salesforce": world.salesforce,
            "microsoft": world.microsoft,
            "google": world.google,
            "exchange": world.exchange,
        }

    def _switches(self, request: Request) -> Any:
        """Sets what the systems do one way or the other, as the body names it; the rest stays."""
        systems = self._switched()
        given = _parts(request, {name: tuple(system.switches()) for name, system in systems.items()})
        before = self._all_switches()
        try:
            for name, system in systems.items():
                system.set_switches(given[name])
        except ValueError:
            for name, system in systems.items():
                system.set_switches(before[name])
            raise
        return self._changed(self._all_switches())

    def _records(self, request: Request, parts: list[str]) -> Any:
        system = self._world.systems.get(parts[0])
        if system is None or parts[1] not in system.objects():
            raise Refused(404, f"there is no {'/'.join(parts[:2])}")
        object_type = parts[1]
        if len(parts) == 2:
            if request.method == "GET":
                return {"records": system.list_records(object_type)}
            if request.method == "POST":
                return self._changed(system.create_record(object_type, _object(request)))
            raise Refused(405, f"{request.method} is not allowed here")
        id_ = system.find_id(object_type, parts[2])
        if id_ is None or system.get_record(object_type, id_) is None:
            raise Refused(404, f"there is no {'/'.join(parts)[:200]}")
        if request.method == "GET":
            return system.get_record(object_type, id_)
        if request.method == "PATCH":
            return self._changed(system.update_record(object_type, id_, _object(request)))
        if request.method == "DELETE":
            system.delete_record(object_type, id_)
            return self._changed({"deleted": id_ if parts[2].isdigit() else parts[2]})
        raise Refused(405, f"{request.method} is not allowed here")


def _object(request: Request) -> Mapping[str, Any]:
    try:
        data = read_json(request.body or b"{}")
    except ValueError:
        raise Refused(400, "the body is not JSON, or nests too deep") from None
    if not isinstance(data, dict):
        raise Refused(400, "the body must be a JSON object")
    return data


def _parts(request: Request, known: Mapping[str, tuple[str, ...]]) -> dict[str, Mapping[str, Any]]:
    """Returns the objects that a body holds under the names of systems, empty for one it does not name. Raises Refused."""
    data = _object(request)
    if unknown := [name for name in data if name not in known]:
        raise Refused(400, f"there is nothing to set for {unknown[0]!r}; take {' or '.join(known)}")
    for name, part in data.items():
        if not isinstance(part, dict):
            raise Refused(400, f"{name} must be an object with {' or '.join(known[name])}")
        if unknown := [n for n in part if n not in known[name]]:
            raise Refused(400, f"{name} has no {unknown[0]!r}; take {', '.join(known[name])}")
    return {name: data.get(name, {}) for name in known}


def _json(status: int, body: Any) -> Response:
    return Response(status, json.dumps(body, default=str).encode())
