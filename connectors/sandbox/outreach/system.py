"""Outreach, played: JSON:API collections, OAuth, rate limits and refusals, as reference/outreach states them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from connectors.sandbox.outreach import actions, paging, webhooks
from connectors.sandbox.outreach.oauth import TokenDesk
from connectors.sandbox.outreach.query import BadQuery, Query, read_query, show_instant
from connectors.sandbox.outreach.refusal import Refused
from connectors.sandbox.outreach.schema import BY_TYPE, RESOURCES, Resource
from connectors.sandbox.outreach.table import Record, Table
from connectors.sandbox.outreach.values import checked_value
from connectors.sandbox.wire import Request, Response

MEDIA_TYPE = "application/vnd.api+json; charset=utf-8"
LONGEST_URL = 8192
DEFAULT_PER_HOUR = 10_000
NO_PATCH = ("sequenceState", "mailing")
NO_DELETE = ("user", "mailing")


class OutreachSystem:
    """The state of one Outreach organisation and what it answers."""

    name = "outreach"

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self._now = now
        self.tables = {collection: Table(collection) for collection in RESOURCES}
        self.desk = TokenDesk(now=now, seed=seed)
        self.index_lag_seconds = 0.0
        self.per_hour: int | None = None
        self.unique_custom_id = False
        self.strict_content_type = True
        self.outbox: list[webhooks.Delivery] = []
        self._window = 0
        self._used = 0

    # --- what the world asks --------------------------------------------------------------------------------------
    def credentials(self) -> dict[str, Any]:
        desk = self.desk
        return {
            "access_token": desk.offered(),
            "client_id": desk.client_id,
            "client_secret": desk.client_secret,
            "refresh_token": desk.current_refresh,
        }

    def objects(self) -> tuple[str, ...]:
        return tuple(self.tables)

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

    def expire_tokens(self) -> None:
        self.desk.expire()

    def meta(self) -> dict[str, Any]:
        return {"desk": self.desk.meta(), "next_ids": {n: t.next_id for n, t in self.tables.items()}, "per_hour": self.per_hour}

    def dump(self) -> dict[str, Any]:
        return {"meta": self.meta(), "tables": {n: {"rows": list(t.records.values())} for n, t in self.tables.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.desk.restore(dict(state["meta"]["desk"]))
        self.per_hour = state["meta"].get("per_hour")
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
    def handle(self, request: Request) -> Response:
        if len(request.path) + len(request.query) > LONGEST_URL:
            return Response(414, b"<html><body>414 Request-URI Too Large</body></html>", "text/html", template="/{too long}")
        if request.path == "/oauth/token" and request.method == "POST":
            return self.desk.token(request)
        if request.path == "/oauth/authorize":
            return self.desk.authorize(request)
        parts = [p for p in request.path.split("/") if p]
        if parts[:2] != ["api", "v2"]:
            return self._error(404, "routeNotFound", "No route matches this path.", "/{unknown}")
        if parts[2:3] != ["schema"] and not self.desk.accepts(request.headers.get("authorization", "")):
            body = {"error": "Invalid JWT token.", "description": "The JWT token could not be decoded."}
            return Response(401, json.dumps(body).encode(), template=_template(parts))
        lacking = self.desk.missing_scope(request.headers.get("authorization", ""), parts[2], request.method) if parts[2:] else ""
        if parts[2:3] != ["types"] and lacking:
            detail = f"Your authorization is missing the required scope '{lacking}'."
            return self._error(403, "unauthorizedOauthScope", detail, _template(parts))
        limited = self._count_call(_template(parts))
        response = limited or self._answer(request, parts)
        response.headers += self._allowance()
        return response

    def _answer(self, request: Request, parts: list[str]) -> Response:
        template = _template(parts)
        try:
            is_typed = request.headers.get("content-type", "").startswith("application/vnd.api+json")
            if request.method in ("POST", "PATCH") and self.strict_content_type and not is_typed:
                return self._error(415, "unsupportedMediaType", "Content-Type must be application/vnd.api+json.", template)
            return self._route(request, parts, template)
        except BadQuery as error:
            return self._error(400, error.code, str(error), template)
        except Refused as error:
            return self._error(error.status, error.code, str(error), template, error.pointer)

    def _route(self, request: Request, parts: list[str], template: str) -> Response:
        rest = parts[2:]
        if not rest:
            return self._json(200, {"data": {"type": "identity", "attributes": {"organisation": "Sandbox"}}}, template)
        if rest == ["types"]:
            return self._json(200, {"data": [{"type": t, "meta": {"validations": {}}} for t in ("account", "prospect")]}, template)
        resource = RESOURCES.get(rest[0])
        if resource is None:
            return self._error(404, "routeNotFound", "No route matches this path.", template)
        if len(rest) == 1 and request.method == "GET":
            return self._list(request, resource, template)
        if len(rest) == 1 and request.method == "POST":
            values = self._read_document(request, resource, None)
            record = self._create(resource, values)
            return self._json(201, {"data": self._document(resource, record, request.base_url)}, template)
        if rest == ["webhooks", "cleanup"] and request.method == "POST":
            return self._cleanup(request, template)
        if len(rest) == 2 and rest[1].isdigit():
            return self._single(request, resource, int(rest[1]), template)
        if len(rest) == 4 and rest[1].isdigit() and rest[2] == "actions" and request.method == "POST":
            return self._act(request, resource, int(rest[1]), rest[3], template)
        return self._error(404, "routeNotFound", "No route matches this path.", template)

    def _single(self, request: Request, resource: Resource, id_: int, template: str) -> Response:
        table = self.tables[resource.collection]
        if id_ not in table.records:
            return self._error(404, "resourceNotFound", f"Could not find '{resource.type}' with ID '{id_}'.", template)
        if request.method == "GET":
            query = read_query(request.query, resource, self.tables)
            return self._json(200, {"data": self._document(resource, table.records[id_], request.base_url, query)}, template)
        if request.method == "PATCH" and resource.type not in NO_PATCH:
            record = self._update(resource, id_, self._read_document(request, resource, id_))
            return self._json(200, {"data": self._document(resource, record, request.base_url)}, template)
        if request.method == "DELETE" and resource.type not in NO_DELETE:
            self._delete(resource, id_)
            return Response(204, b"", MEDIA_TYPE, template=template)
        return self._error(404, "routeNotFound", "No route matches this path.", template)

    def _act(self, request: Request, resource: Resource, id_: int, action: str, template: str) -> Response:
        """Answers `POST /tasks/7/actions/markComplete?actionParams[…]=…` and its like."""
        table = self.tables[resource.collection]
        if id_ not in table.records:
            return self._error(404, "resourceNotFound", f"Could not find '{resource.type}' with ID '{id_}'.", template)
        changes = actions.changes(resource.type, table.records[id_], action, request.query, self._stamp(""))
        record = self._save(resource, table.records[id_], changes)
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
        found = paging.window(self.tables[resource.collection], query, self._fits(resource, query))
        body: dict[str, Any] = {"data": [self._document(resource, r, request.base_url, query) for r in found.records]}
        body["meta"] = paging.meta(found.total)
        links = paging.links(request, query, found)
        if links:
            body["links"] = links
        included = self._included(resource, found.records, query, request.base_url)
        if included:
            body["included"] = included
        return self._json(200, body, template)

    def _fits(self, resource: Resource, query: Query) -> Callable[[Record], bool]:
        """Returns whether a record is listed: its filters, the index that may lag behind writes, unnamed accounts."""
        tests = list(query.predicates)
        if query.is_filtered and not query.by_id and self.index_lag_seconds:
            fresh = show_instant((self._now() - timedelta(seconds=self.index_lag_seconds)).isoformat())
            # What was indexed before a change is still found; only reads by updatedAt miss the change itself.
            stamp = "updatedAt" if query.since is not None else "createdAt"
            tests.append(lambda r: bool(r[stamp] < fresh))
        if resource.type == "account" and not query.by_id:
            tests.append(lambda r: bool(r.get("named")))
        return lambda r: all(test(r) for test in tests)

    def _document(self, resource: Resource, record: Record, base_url: str, query: Query | None = None) -> dict[str, Any]:
        wanted = (query.fields.get(resource.type) if query else None) or None
        sparse = query is not None and resource.type in query.fields
        attributes = {n: self._computed(resource, record, n) for n in resource.attributes if not sparse or n in (wanted or ())}
        relationships: dict[str, Any] = {}
        for name, type_ in resource.to_one.items():
            if not sparse or name in (wanted or ()):
                related = record.get(name)
                relationships[name] = {"data": None if related is None else {"type": type_, "id": related}}
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
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for name in query.include:
            type_ = resource.to_one.get(name)
            if type_ is None or type_ not in BY_TYPE:
                raise BadQuery(f"'{name}' cannot be included.")
            other = BY_TYPE[type_]
            for record in page:
                related = self.tables[other.collection].records.get(record.get(name) or 0)
                if related is not None:
                    found[(type_, related["id"])] = self._document(other, related, base_url, query)
        return list(found.values())

    # --- writing ---------------------------------------------------------------------------------------------------
    def _read_document(self, request: Request, resource: Resource, id_: int | None) -> Record:
        """Returns the values of a POST or PATCH document. Raises Refused."""
        try:
            data = json.loads(request.body)["data"]
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

    def _read_relation(self, resource: Resource, name: str, relation: Any) -> int | None:
        pointer = f"/data/relationships/{name}"
        if name not in resource.to_one or name in resource.read_only_to_one:
            raise Refused(400, "permittedParams.unknownAttribute", f"Unknown relationship '{name}'.", pointer)
        data = relation.get("data", 0) if isinstance(relation, dict) else 0
        if data is None:
            return None
        id_ = data.get("id") if isinstance(data, dict) else None
        if not isinstance(id_, int) or isinstance(id_, bool):
            raise Refused(422, "validationError", f"'{name}' needs an integer id.", pointer)
        return id_

    def _create(self, resource: Resource, values: Record, *, is_user: bool = False) -> Record:
        table = self.tables[resource.collection]
        now = values.pop("updatedAt", None) if is_user else None
        created = show_instant(str(now)) if now else self._stamp("")
        checked = self._check(resource, None, values, is_user)
        if not is_user:
            actions.refuse_create(resource.type, checked, self.tables)
        record: Record = {"id": table.next_id, "createdAt": created, "updatedAt": created, "creator": self._me(), "updater": self._me()}
        record.update({n: None for n in resource.to_one if n not in record})
        if resource.type == "account":
            record.update({"named": True, "externalSource": "outreach-api"})
        record.update(actions.born_with(resource.type, created))
        record.update(checked)
        self._derive(resource, record)
        table.put(record)
        self._mirror_emails(resource, record)
        self._tell(resource, "created", record, None)
        return record

    def _update(self, resource: Resource, id_: int, values: Record, *, is_user: bool = False) -> Record:
        table = self.tables[resource.collection]
        before = table.records[id_]
        values.pop("id", None)
        return self._save(resource, before, self._check(resource, before, values, is_user))

    def _save(self, resource: Resource, before: Record, changes: Record) -> Record:
        record = {**before, **changes, "updatedAt": self._stamp(before["updatedAt"]), "updater": self._me()}
        self._derive(resource, record)
        self.tables[resource.collection].put(record)
        self._mirror_emails(resource, record)
        self._tell(resource, "updated", record, before)
        return record

    def _delete(self, resource: Resource, id_: int) -> None:
        table = self.tables[resource.collection]
        record = table.records[id_]
        table.remove(id_)
        self._tell(resource, "destroyed", record, record)

    def _tell(self, resource: Resource, action: str, record: Record, before: Record | None) -> None:
        """Hands the change to every active webhook that asked for it."""
        hooks = [h for h in self.tables["webhooks"].records.values() if h.get("active") is not False]
        for hook in hooks:
            if webhooks.wants(hook, resource.type, action):
                self.outbox.append(webhooks.delivery(hook, resource, action, record, before, self._now()))

    def _me(self) -> int | None:
        return min(self.tables["users"].records, default=None)

    def _stamp(self, after: str) -> str:
        """Returns the present instant in milliseconds, later than `after`: every write of a record moves updatedAt."""
        now = show_instant(self._now().isoformat())
        if now <= after:
            later = datetime.fromisoformat(after.replace("Z", "+00:00")) + timedelta(milliseconds=1)
            now = show_instant(later.isoformat())
        return now

    def _check(self, resource: Resource, before: Record | None, values: Record, is_user: bool) -> Record:
        """Returns the values to store. Raises Refused in Outreach's words."""
        checked: Record = {}
        for name, value in values.items():
            if name in resource.to_one:
                self._check_related(resource, name, value)
                checked[name] = value
                continue
            attribute = resource.attributes.get(name)
            if attribute is None:
                raise Refused(400, "permittedParams.unknownAttribute", f"Unknown attribute '{name}'.", f"/data/attributes/{name}")
            if attribute.is_read_only and not is_user:
                raise Refused(400, "permittedParams.unknownAttribute", f"Attribute '{name}' is read-only.", f"/data/attributes/{name}")
            checked[name] = checked_value(attribute, value)
        merged = {**(before or {}), **checked}
        if resource.type in ("account", "stage", "persona", "sequence") and not str(merged.get("name") or "").strip():
            raise Refused(422, "validationError", "Name can't be blank.", "/data/attributes/name")
        if resource.type == "webhook":
            webhooks.check(merged)
        self._check_unique(resource, before, checked)
        return checked

    def _check_related(self, resource: Resource, name: str, value: Any) -> None:
        if value is None:
            return
        other = BY_TYPE.get(resource.to_one[name])  # a plugin's mapping is no resource of its own
        if other is not None and value not in self.tables[other.collection].records:
            raise Refused(422, "validationError", f"{name.capitalize()} must exist.", f"/data/relationships/{name}")

    def _check_unique(self, resource: Resource, before: Record | None, checked: Record) -> None:
        own = {before["id"]} if before else set()
        if resource.type == "prospect" and checked.get("emails"):
            taken = self.tables["prospects"].having("emails", checked["emails"]) or set()
            if taken - own:
                raise Refused(422, "validationError", "Contacts email hash has already been taken.", "/data/attributes/emails")
        unique = {"user": "username"} | ({"account": "customId"} if self.unique_custom_id else {})
        name = unique.get(resource.type, "")
        if name and checked.get(name) and (self.tables[resource.collection].having(name, [checked[name]]) or set()) - own:
            raise Refused(422, "validationError", f"{name} has already been taken.", f"/data/attributes/{name}")

    @staticmethod
    def _derive(resource: Resource, record: Record) -> None:
        if resource.type == "account":
            record["naturalName"] = str(record.get("name") or "").lower()

    def _mirror_emails(self, resource: Resource, record: Record) -> None:
        """Writing `emails` makes the emailAddress records of a prospect."""
        if resource.type != "prospect":
            return
        table = self.tables["emailAddresses"]
        wanted = list(record.get("emails") or [])
        present = {table.records[i]["email"]: i for i in table.having("prospect", [record["id"]]) or ()}
        for email, id_ in present.items():
            if email not in wanted:
                table.remove(id_)
        for order, email in enumerate(wanted):
            if email not in present:
                at = record["updatedAt"]
                row = {"id": table.next_id, "email": email, "emailType": "work", "order": order, "prospect": record["id"]}
                table.put({**row, "createdAt": at, "updatedAt": at, "creator": None, "updater": None})

    # --- limits and answers -------------------------------------------------------------------------------------------
    def _count_call(self, template: str) -> Response | None:
        hour = int(self._now().timestamp() // 3600)
        if hour != self._window:
            self._window, self._used = hour, 0
        self._used += 1
        if self.per_hour is not None and self._used > self.per_hour:
            reset = datetime.fromtimestamp((hour + 1) * 3600, UTC)
            detail = f"Rate limit of {self.per_hour} requests an hour exceeded; it resets at {reset.isoformat()}."
            response = self._error(429, "rateLimitExceeded", detail, template)
            response.headers.append(("Retry-After", str(int(reset.timestamp()))))
            return response
        return None

    def _allowance(self) -> list[tuple[str, str]]:
        limit = self.per_hour or DEFAULT_PER_HOUR
        reset = (int(self._now().timestamp() // 3600) + 1) * 3600
        remaining = max(0, limit - self._used)
        return [("X-RateLimit-Limit", str(limit)), ("X-RateLimit-Remaining", str(remaining)), ("X-RateLimit-Reset", str(reset))]

    @staticmethod
    def _json(status: int, body: Mapping[str, Any], template: str) -> Response:
        return Response(status, json.dumps(body).encode(), MEDIA_TYPE, template=template)

    def _error(self, status: int, code: str, detail: str, template: str, pointer: str = "") -> Response:
        error: dict[str, Any] = {"id": code, "title": code, "details" if status == 415 else "detail": detail}
        if pointer:
            error["source"] = {"pointer": pointer}
        return self._json(status, {"errors": [error]}, template)


def _template(parts: list[str]) -> str:
    return "/" + "/".join("{id}" if p.isdigit() else p for p in parts)
