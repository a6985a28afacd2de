"""Outreach, played: JSON:API collections, OAuth, rate limits and refusals, as reference/outreach states them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from connectors.sandbox.outreach import actions, answers, paging
from connectors.sandbox.outreach.answers import MEDIA_TYPE
from connectors.sandbox.outreach.oauth import TokenDesk, require_scope
from connectors.sandbox.outreach.query import BadQuery, Query, read_query, show_instant
from connectors.sandbox.outreach.records import Records
from connectors.sandbox.outreach.refusal import Refused
from connectors.sandbox.outreach.schema import BY_TYPE, RESOURCES, UNLISTED, Resource, hyper_schema, open_api
from connectors.sandbox.outreach.table import Record
from connectors.sandbox.outreach.webhooks import Delivery, Weather
from connectors.sandbox.wire import Request, Response, masked, read_id, read_json, template_of

LONGEST_URL = 8192
DEFAULT_PER_HOUR = 10_000
NO_PATCH = ("sequenceState", "mailing", "call")
NO_DELETE = ("user", "mailing")
READ_ONLY = ("batch", "batchItem", "event")
DEEPEST_INCLUDE = 5
LONGEST_SHOWN = 40  # of an id that was asked for
OPEN_API = json.dumps(open_api()).encode()


class OutreachSystem(Records):
    """The state of one Outreach organisation and what it answers."""

    name = "outreach"

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        super().__init__(now=now)
        self.desk = TokenDesk(now=now, seed=seed)
        self.weather = Weather(seed)
        self.per_hour: int | None = None
        self.strict_content_type = True
        self._window = 0
        self._used = 0

    # --- what the world asks --------------------------------------------------------------------------------------
    def credentials(self) -> dict[str, Any]:
        desk = self.desk
        return {
            "access_token": desk.offered(),
            "client_id": desk.client_id,
            "client_secret": desk.client_secret,
            "refresh_token": desk.offered_refresh(),
        }

    def objects(self) -> tuple[str, ...]:
        return tuple(self.tables)

    def find_id(self, object_type: str, text: str) -> int | None:
        id_ = read_id(text)
        return id_ if id_ in self.tables[object_type].records else None

    def count(self, object_type: str) -> int:
        return len(self.tables[object_type].records)

    def list_records(self, object_type: str) -> list[dict[str, Any]]:
        return list(self.tables[object_type].records.values())

    def get_record(self, object_type: str, id_: int) -> dict[str, Any] | None:
        return self.tables[object_type].records.get(id_)

    def create_record(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._create(RESOURCES[object_type], dict(values), is_user=True)
        except Refused as error:
            raise ValueError(str(error)) from None

    def update_record(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]:
        if id_ not in self.tables[object_type].records:
            raise ValueError(f"there is no {object_type} {id_}")
        try:
            return self._update(RESOURCES[object_type], id_, dict(values), is_user=True)
        except Refused as error:
            raise ValueError(str(error)) from None

    def delete_record(self, object_type: str, id_: int) -> None:
        if id_ not in self.tables[object_type].records:
            raise ValueError(f"there is no {object_type} {id_}")
        self._delete(RESOURCES[object_type], id_)

    def take_told(self) -> list[Delivery]:
        """Returns the deliveries that are to be sent now; what happens to them on their way has happened."""
        told, self.outbox = self.outbox, []
        return self.weather.through(told)

    def expire_tokens(self) -> None:
        self.desk.expire()

    def switches(self) -> dict[str, Any]:
        """Returns what may be one way or the other: rules that the reference leaves open, and the scopes of tokens."""
        own = {"unique_custom_id": self.unique_custom_id, "strict_content_type": self.strict_content_type}
        return {**own, **self.desk.switches(), **self.weather.switches()}

    def set_switches(self, given: Mapping[str, Any]) -> None:
        """Sets the switches that are named. Raises ValueError, and sets none, for a value that is not one of theirs."""
        for name, value in given.items():
            if name != "scopes" and name not in self.weather.switches() and not isinstance(value, bool):
                raise ValueError(f"{name} must be true or false")
        before = self.weather.switches()
        self.weather.set_switches(given)
        try:
            self.desk.set_switches(given)
        except ValueError:
            self.weather.set_switches(before)
            raise
        self.unique_custom_id = given.get("unique_custom_id", self.unique_custom_id)
        self.strict_content_type = given.get("strict_content_type", self.strict_content_type)

    def meta(self) -> dict[str, Any]:
        rules = {"unique_custom_id": self.unique_custom_id, "strict_content_type": self.strict_content_type}
        next_ids = {n: t.next_id for n, t in self.tables.items()}
        return {"desk": self.desk.meta(), "next_ids": next_ids, "per_hour": self.per_hour, **rules, "weather": self.weather.switches()}

    def dump(self) -> dict[str, Any]:
        return {"meta": self.meta(), "tables": {n: {"rows": list(t.records.values())} for n, t in self.tables.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.desk.restore(dict(state["meta"]["desk"]))
        self.weather.set_switches(state["meta"].get("weather", {}))
        self.per_hour = state["meta"].get("per_hour")
        self.unique_custom_id = state["meta"].get("unique_custom_id", self.unique_custom_id)
        self.strict_content_type = state["meta"].get("strict_content_type", self.strict_content_type)
        for name, dumped in state["tables"].items():
            for row in dumped["rows"]:
                self.tables[name].put(dict(row))
            self.tables[name].dirty.clear()
        for name, next_id in state["meta"]["next_ids"].items():
            self.tables[name].next_id = max(next_id, self.tables[name].next_id)

    def take_dirty(self) -> list[tuple[str, int, dict[str, Any] | None]]:
        changed = [(name, id_, table.records.get(id_)) for name, table in self.tables.items() for id_ in sorted(table.dirty)]
        for table in self.tables.values():
            table.dirty.clear()
        return changed

    # --- HTTP -----------------------------------------------------------------------------------------------------
    def template(self, path: str) -> str:
        return template_of(path)

    def method_of(self, request: Request) -> str:
        return request.method

    def shown(self, request: Request) -> str:
        return masked(request.query)

    def handle(self, request: Request) -> Response:
        template = template_of(request.path)
        if len(request.path) + len(request.query) > LONGEST_URL:
            response = Response(414, b"<html><body>414 Request-URI Too Large</body></html>", "text/html", template="/{too long}")
        elif request.path == "/oauth/token" and request.method == "POST":
            return self.desk.token(request)
        elif request.path == "/oauth/authorize":
            return self.desk.authorize(request)
        else:
            response = self._gateway(request, [p for p in request.path.split("/") if p], template)
        return self._with_allowance(response)

    def trouble(self, kind: str, options: Mapping[str, Any], request: Request) -> Response:
        """Returns what a fault answers, with the limits that every answer carries."""
        template = template_of(request.path)
        wait = options.get("retry_after")
        if kind == "status" and options["status"] == 429:
            ends_at = int(self._now().timestamp() + wait) if isinstance(wait, int | float) else self._resets_at()
            response = self._limited(template, ends_at, wait)
        else:
            response = answers.of_fault(kind, options, template)
        return self._with_allowance(response)

    def _gateway(self, request: Request, parts: list[str], template: str) -> Response:
        """Answers what needs no token, and lets the rest pass that may."""
        if parts[:2] != ["api", "v2"]:
            return answers.error(404, "routeNotFound", "No route matches this path.", "/{unknown}")
        if parts[2:] == ["schema", "openapi.json"] and request.method == "GET":
            return Response(200, OPEN_API, template=template)
        scopes = self.desk.scopes_of(request.headers.get("authorization", ""))
        if scopes is None:
            return answers.unauthorized(template)
        limited = self._count_call(template)
        return limited or self._answer(request, parts, template, scopes)

    def _answer(self, request: Request, parts: list[str], template: str, scopes: frozenset[str]) -> Response:
        try:
            is_typed = request.headers.get("content-type", "").startswith("application/vnd.api+json")
            if request.method in ("POST", "PATCH") and self.strict_content_type and not is_typed:
                return answers.error(415, "unsupportedMediaType", "Content-Type must be application/vnd.api+json.", template)
            if parts[2:] and parts[2] in RESOURCES:
                require_scope(scopes, parts[2], request.method)
            return self._route(request, parts, template)
        except BadQuery as error:
            return answers.error(400, error.code, str(error), template)
        except Refused as error:
            return answers.error(error.status, error.code, str(error), template, error.pointer)

    def _route(self, request: Request, parts: list[str], template: str) -> Response:
        rest = parts[2:]
        if not rest:
            return self._json(200, {"data": {"type": "identity", "attributes": {"organisation": "Sandbox"}}}, template)
        if rest == ["types"]:
            return self._json(200, {"data": [{"type": t, "meta": {"validations": {}}} for t in ("account", "prospect")]}, template)
        if rest == ["schema.json"]:
            return self._json(200, hyper_schema(), template)
        resource = RESOURCES.get(rest[0])
        if resource is None or (resource.type in READ_ONLY and request.method != "GET"):
            raise Refused(404, "routeNotFound", "No route matches this path.", "")
        if len(rest) == 1 and request.method == "GET":
            return self._list(request, resource, template)
        if len(rest) == 1 and request.method == "POST":
            values = self._read_document(request, resource, None)
            record = self._create(resource, values)
            return self._json(201, {"data": self._document(resource, record, request.base_url)}, template)
        if rest == ["webhooks", "cleanup"] and request.method == "POST":
            return self._cleanup(request, template)
        if len(rest) == 2 and _is_number(rest[1]):
            return self._single(request, resource, rest[1], template)
        if len(rest) == 4 and _is_number(rest[1]) and rest[2] == "actions" and request.method == "POST":
            return self._act(request, resource, rest[1], rest[3], template)
        raise Refused(404, "routeNotFound", "No route matches this path.", "")

    def _existing(self, resource: Resource, id_text: str) -> Record:
        """Returns the record that an address names. Raises Refused, as the answer to one that is not there."""
        record = self.tables[resource.collection].records.get(read_id(id_text) or 0)
        if record is None:
            raise Refused(404, "resourceNotFound", f"Could not find '{resource.type}' with ID '{id_text[:LONGEST_SHOWN]}'.", "")
        return record

    def _single(self, request: Request, resource: Resource, id_text: str, template: str) -> Response:
        present = self._existing(resource, id_text)
        id_ = present["id"]
        if request.method == "GET":
            query = read_query(request.query, resource, self.tables)
            body: dict[str, Any] = {"data": self._document(resource, present, request.base_url, query)}
            included = self._included(resource, [present], query, request.base_url)
            return self._json(200, {**body, "included": included} if included else body, template)
        if request.method == "PATCH" and resource.type not in NO_PATCH:
            record = self._update(resource, id_, self._read_document(request, resource, id_))
            return self._json(200, {"data": self._document(resource, record, request.base_url)}, template)
        if request.method == "DELETE" and resource.type not in NO_DELETE:
            self._delete(resource, id_)
            return Response(204, b"", MEDIA_TYPE, template=template)
        raise Refused(404, "routeNotFound", "No route matches this path.", "")

    def _act(self, request: Request, resource: Resource, id_text: str, action: str, template: str) -> Response:
        """Answers `POST /tasks/7/actions/markComplete?actionParams[…]=…` and its like."""
        present = self._existing(resource, id_text)
        changes = actions.changes(resource.type, present, action, request.query, self._stamp(""))
        if changes.get("owner") is not None:
            self._check_related(resource, "owner", changes["owner"])
        record = self._save(resource, present, changes)
        return self._json(200, {"data": self._document(resource, record, request.base_url)}, template)

    def _cleanup(self, request: Request, template: str) -> Response:
        token = request.headers.get("outreach-webhook-cleanup-token", "") or dict(parse_qsl(request.query)).get("token", "")
        found = [i for i, r in self.tables["webhooks"].records.items() if token and r.get("cleanupToken") == token]
        for id_ in found:
            self.tables["webhooks"].remove(id_)
        return Response(204 if found else 404, b"", MEDIA_TYPE, template=template)

    # --- reading ---------------------------------------------------------------------------------------------------
    def _list(self, request: Request, resource: Resource, template: str) -> Response:
        query = read_query(request.query, resource, self.tables)
        table = self.tables[resource.collection]
        if self._lags(query) and query.candidates is not None:
            query.candidates = query.candidates | set(table.recent)  # found by what they were
        found = paging.window(table, query, self._fits(resource, query))
        body: dict[str, Any] = {"data": [self._document(resource, r, request.base_url, query) for r in found.records]}
        body["meta"] = paging.meta(found.total)
        links = paging.links(request, query, found)
        if links:
            body["links"] = links
        included = self._included(resource, found.records, query, request.base_url)
        if included:
            body["included"] = included
        return self._json(200, body, template)

    def _lags(self, query: Query) -> bool:
        """Tells whether a search index answers that may lag behind: reads by id and whole lists come from the records."""
        return query.is_filtered and not query.by_id and self.index_lag() > 0

    def _fits(self, resource: Resource, query: Query) -> Callable[[Record], bool]:
        """Returns whether a record is listed: its filters, the index that may lag behind writes, unnamed accounts."""
        tests = list(query.predicates)
        if resource.type == "account" and not query.by_id:
            tests.append(lambda r: bool(r.get("named")))
        if self._lags(query):
            return self._fits_index(resource, query, tests)
        return lambda r: all(test(r) for test in tests)

    def _fits_index(self, resource: Resource, query: Query, tests: list[Callable[[Record], bool]]) -> Callable[[Record], bool]:
        """Returns whether a record was listed before the lag: a new one is not there yet, a changed one is found by what it
        was; only reads by updatedAt miss the change itself."""
        until = show_instant((self._now() - timedelta(seconds=self.index_lag())).isoformat())
        table, reads_changes = self.tables[resource.collection], query.since is not None

        def fits(record: Record) -> bool:
            if record["createdAt"] >= until or (reads_changes and record["updatedAt"] >= until):
                return False
            indexed = table.as_indexed(record, until)
            return indexed is not None and all(test(indexed) for test in tests)

        return fits

    def _document(self, resource: Resource, record: Record, base_url: str, query: Query | None = None) -> dict[str, Any]:
        wanted = (query.fields.get(resource.type) if query else None) or None
        sparse = query is not None and resource.type in query.fields
        attributes = {n: self._computed(resource, record, n) for n in resource.attributes if not sparse or n in (wanted or ())}
        relationships: dict[str, Any] = {}
        for name, type_ in resource.to_one.items():
            if not sparse or name in (wanted or ()):
                related = record.get(name)
                if related is not None and not isinstance(related, dict):
                    related = {"type": type_.split("|")[-1], "id": related}
                relationships[name] = {"data": related}
        for name, (collection, back) in resource.links.items():
            if not sparse or name in (wanted or ()):
                relationships[name] = {"links": {"related": f"{base_url}/api/v2/{collection}?filter%5B{back}%5D%5Bid%5D={record['id']}"}}
        link = f"{base_url}/api/v2/{resource.collection}/{record['id']}"
        document = {"type": resource.type, "id": record["id"], "attributes": attributes, "relationships": relationships}
        return {**document, "links": {"self": link}}

    def _computed(self, resource: Resource, record: Record, name: str) -> Any:
        if resource.type == "prospect" and name == "company" and record.get("account"):
            account = self.tables["accounts"].records.get(record["account"])
            return account.get("name") if account else record.get("company")
        if name == "name" and resource.type in ("prospect", "user"):
            return " ".join(filter(None, (record.get("firstName"), record.get("lastName")))) or None
        if resource.attributes[name].type == "array":
            return record.get(name) or []
        return record.get(name)

    def _included(self, resource: Resource, page: list[Record], query: Query, base_url: str) -> list[dict[str, Any]]:
        """Returns the resources that the page's records lead to, by `account` or by a path such as `account.owner`."""
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for path in query.include:
            kind, records = resource, page
            for name in path.split("."):
                type_ = kind.to_one.get(name)
                if type_ is None or type_ in UNLISTED or path.count(".") >= DEEPEST_INCLUDE:
                    raise BadQuery(f"'{path[:60]}' cannot be included.")
                related = [pair for record in records if (pair := self._related(record, name, type_)) is not None]
                for other, record in related:
                    found[(other.type, record["id"])] = self._document(other, record, base_url, query)
                kind, records = BY_TYPE[type_.split("|")[0]], [record for other, record in related if "|" not in type_]
        return list(found.values())

    def _related(self, record: Record, name: str, type_: str) -> tuple[Resource, Record] | None:
        value = record.get(name)
        type_, id_ = (value["type"], value["id"]) if isinstance(value, dict) else (type_.split("|")[-1], value)
        if id_ is None:
            return None
        related = self.tables[BY_TYPE[type_].collection].records.get(id_)
        return None if related is None else (BY_TYPE[type_], related)

    # --- writing ---------------------------------------------------------------------------------------------------
    def _read_document(self, request: Request, resource: Resource, id_: int | None) -> Record:
        """Returns the values of a POST or PATCH document. Raises Refused."""
        try:
            data = read_json(request.body)["data"]
            type_, attributes, relations = data["type"], data.get("attributes") or {}, data.get("relationships") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Refused(400, "malformedRequest", "The body is not a JSON:API document.") from None
        if type_ != resource.type or not isinstance(attributes, dict) or not isinstance(relations, dict):
            raise Refused(400, "malformedRequest", f"type must be '{resource.type}'.")
        if id_ is not None and data.get("id") != id_:
            raise Refused(400, "malformedRequest", "id in the body and in the address must be the same integer.")
        values: Record = {}
        for name, value in attributes.items():
            if name not in resource.attributes:
                raise Refused(400, "permittedParams.unknownAttribute", f"Unknown attribute '{name}'.", f"/data/attributes/{name}")
            values[name] = value
        for name, relation in relations.items():
            values[name] = self._read_relation(resource, name, relation)
        return values

    def _read_relation(self, resource: Resource, name: str, relation: Any) -> Any:
        """Returns the related id, `{"type", "id"}` where several types are allowed, None for none. Raises Refused."""
        pointer = f"/data/relationships/{name}"
        if name not in resource.to_one or name in resource.read_only_to_one:
            raise Refused(400, "permittedParams.unknownAttribute", f"Unknown relationship '{name[:60]}'.", pointer)
        data = relation.get("data", 0) if isinstance(relation, dict) else 0
        if data is None:
            return None
        id_, type_ = (data.get("id"), data.get("type")) if isinstance(data, dict) else (None, None)
        if not isinstance(id_, int) or isinstance(id_, bool):
            raise Refused(422, "validationError", f"'{name}' needs an integer id.", pointer)
        allowed = resource.to_one[name].split("|")
        if type_ not in allowed:
            raise Refused(422, "validationError", f"'{name}' must be of type {' or '.join(allowed)}.", pointer)
        return id_ if len(allowed) == 1 else {"type": type_, "id": id_}

    # --- limits and answers -------------------------------------------------------------------------------------------
    def _count_call(self, template: str) -> Response | None:
        hour = int(self._now().timestamp() // 3600)
        if hour != self._window:
            self._window, self._used = hour, 0
        self._used += 1
        if self.per_hour is not None and self._used > self.per_hour:
            return self._limited(template, self._resets_at(), None)
        return None

    def _resets_at(self) -> int:
        return (int(self._now().timestamp() // 3600) + 1) * 3600

    def _limit(self) -> int:
        return DEFAULT_PER_HOUR if self.per_hour is None else self.per_hour

    def _limited(self, template: str, resets_at: int, wait: Any) -> Response:
        """Returns the 429; `Retry-After` is the epoch of the reset unless a fault says it otherwise."""
        at = datetime.fromtimestamp(resets_at, UTC).isoformat()
        detail = f"Rate limit of {self._limit()} requests an hour exceeded; it resets at {at}."
        response = answers.error(429, "rateLimitExceeded", detail, template)
        response.headers += [("Retry-After", str(resets_at if wait is None else wait)), ("X-RateLimit-Reset", str(resets_at))]
        response.headers.append(("X-RateLimit-Remaining", "0"))
        return response

    def _with_allowance(self, response: Response) -> Response:
        """Adds the limits that every answer carries, where they are not in it yet."""
        left = {"Limit": self._limit(), "Remaining": max(0, self._limit() - self._used), "Reset": self._resets_at()}
        present = dict(response.headers)
        response.headers += [(f"X-RateLimit-{n}", str(v)) for n, v in left.items() if f"X-RateLimit-{n}" not in present]
        return response

    @staticmethod
    def _json(status: int, body: Mapping[str, Any], template: str) -> Response:
        return answers.document(status, body, template)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
