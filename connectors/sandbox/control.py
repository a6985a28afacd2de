"""The control port: JSON for tools (reset, load, faults, calls, records, clock, limits, switches), pages for people."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from connectors.sandbox.pages import Pages
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
            ("POST", "/clock"): self._clock,
            ("POST", "/limits"): self._limits,
            ("GET", "/switches"): lambda r: {"outreach": self._world.outreach.switches()},
            ("POST", "/switches"): self._switches,
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
        return {"calls": calls, "counts": {name: dict(counts) for name, counts in self._world.counts.items()}}

    def _forget_calls(self, request: Request) -> Any:
        self._world.forget_calls()
        return {"calls": [], "counts": {name: {} for name in PORTS}}

    def _clock(self, request: Request) -> Any:
        seconds = _object(request).get("advance")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool):
            raise Refused(400, "advance must be a number of seconds")
        self._world.advance(seconds)
        return {"now": self._world.now().isoformat()}

    def _limits(self, request: Request) -> Any:
        given = _part(request, "outreach", ("per_hour",))
        limit = given.get("per_hour", self._world.outreach.per_hour)
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
            raise Refused(400, "per_hour must be a whole number or null")
        self._world.outreach.per_hour = limit
        return self._changed({"outreach": {"per_hour": limit}})

    def _switches(self, request: Request) -> Any:
        """Sets what Outreach does one way or the other, as the body names it; the rest stays."""
        outreach = self._world.outreach
        outreach.set_switches(_part(request, "outreach", tuple(outreach.switches())))
        return self._changed({"outreach": outreach.switches()})

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
        id_ = read_id(parts[2])
        if id_ is None or system.get_record(object_type, id_) is None:
            raise Refused(404, f"there is no {'/'.join(parts)[:200]}")
        if request.method == "GET":
            return system.get_record(object_type, id_)
        if request.method == "PATCH":
            return self._changed(system.update_record(object_type, id_, _object(request)))
        if request.method == "DELETE":
            system.delete_record(object_type, id_)
            return self._changed({"deleted": id_})
        raise Refused(405, f"{request.method} is not allowed here")


def _object(request: Request) -> Mapping[str, Any]:
    try:
        data = read_json(request.body or b"{}")
    except ValueError:
        raise Refused(400, "the body is not JSON, or nests too deep") from None
    if not isinstance(data, dict):
        raise Refused(400, "the body must be a JSON object")
    return data


def _part(request: Request, name: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    """Returns the object that a body holds under the one name it may have. Raises Refused."""
    data = _object(request)
    part = data.get(name, {})
    if unknown := [n for n in data if n != name]:
        raise Refused(400, f"there is nothing to set for {unknown[0]!r}; take {name}")
    if not isinstance(part, dict):
        raise Refused(400, f"{name} must be an object with {' or '.join(known)}")
    if unknown := [n for n in part if n not in known]:
        raise Refused(400, f"{name} has no {unknown[0]!r}; take {', '.join(known)}")
    return part


def _json(status: int, body: Any) -> Response:
    return Response(status, json.dumps(body, default=str).encode())
