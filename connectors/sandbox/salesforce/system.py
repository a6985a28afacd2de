"""Salesforce, played: REST API, OAuth, queries, collections, composite, list views, replication and Bulk API 2.0."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote, unquote_plus

from connectors.sandbox.salesforce import addresses, ids, jwt, merging, relations, replication, soql_run, trouble
from connectors.sandbox.salesforce.bulk import Bulk
from connectors.sandbox.salesforce.calls import Answer, Call, method_not_allowed, read_auto_assign, read_duplicate_options, refusal
from connectors.sandbox.salesforce.cells import shown
from connectors.sandbox.salesforce.composite import Composite
from connectors.sandbox.salesforce.limits import Limits
from connectors.sandbox.salesforce.list_views import ListViews, query_of, views_of
from connectors.sandbox.salesforce.oauth import Session, TokenDesk
from connectors.sandbox.salesforce.queries import Queries
from connectors.sandbox.salesforce.records import Records, Writer
from connectors.sandbox.salesforce.refusal import Refused, bad_parameter, not_found
from connectors.sandbox.salesforce.rows import Rows
from connectors.sandbox.salesforce.schema import OBJECTS
from connectors.sandbox.salesforce.sobject_collections import Collections
from connectors.sandbox.salesforce.soql_parser import parse, parse_condition
from connectors.sandbox.salesforce.switches import NAMES, Switches, changed
from connectors.sandbox.salesforce.table import Row
from connectors.sandbox.wire import MOST_MASKED, Request, Response, masked

API_VERSION = "67.0"
SEASONS = (("Spring", 4), ("Summer", 4), ("Winter", 5))  # of versions 66, 67 and 68, and what their year is above a third
FIRST_VERSION, LAST_VERSION = 59, 68
LONGEST_REQUEST_LINE = 16_384  # bytes of the address, and of address and headers together
MOST_UNZIPPED = 64 * 1024 * 1024
RESOURCES = ("composite", "identity", "jobs", "limits", "query", "queryAll", "sobjects")
NO_API = Refused(401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API")
SYNC_USER = {"Username": "sync.service@seller.example", "FirstName": "Sync", "LastName": "Service", "Email": "sync@seller.example"}
ADMIN_USER = {"Username": "jo.admin@seller.example", "FirstName": "Jo", "LastName": "Admin", "Email": "jo@seller.example"}


class SalesforceSystem:
    """The state of one Salesforce organisation and what it answers."""

    name = "salesforce"

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self._now = now
        self.records = Records(now=now)
        self.limits = Limits(now=now)
        self.desk = TokenDesk(self.records, seed=seed)
        self._schema_changed_at = now()
        self._queries, self._bulk = Queries(self.records), Bulk(self.records)
        self._rows = Rows(self.records, lambda: self._schema_changed_at)
        self._collections, self._views = Collections(self.records), ListViews(self.records)
        self._composite = Composite(self.records, self._inner, self.limits.count)
        self.locks: tuple[Mapping[str, Any], ...] = ()  # faults that keep rows from this call; the world sets them
        first = Writer(ids.make(OBJECTS["User"].prefix, 1), is_person=True)
        self.desk.user = self.records.create("User", {**SYNC_USER, "Alias": "sync"}, first)["Id"]
        self._admin = self.records.create("User", {**ADMIN_USER, "Alias": "jadmin"}, first)["Id"]
        self.records.forget_journal()

    # --- what the world asks ------------------------------------------------------------------------------------------
    def credentials(self) -> dict[str, Any]:
        return {**self.desk.credentials(), "api_version": API_VERSION}

    def objects(self) -> tuple[str, ...]:
        return tuple(OBJECTS)

    def find_id(self, object_type: str, text: str) -> int | None:
        """Returns the number of the record that an id of 15 or 18 characters names, None for what names none."""
        id_ = ids.read(text)
        return None if id_ is None or id_ not in self.records.tables[object_type].rows else ids.number_of(id_)

    @staticmethod
    def _id(object_type: str, id_: int | str) -> str:
        """Returns the 18 characters of an id, or of the id with this number; '' for what is no id."""
        return ids.make(OBJECTS[object_type].prefix, id_) if isinstance(id_, int) else ids.read(id_) or ""

    def count(self, object_type: str) -> int:
        return len(self.records.tables[object_type].rows)

    def list_records(self, object_type: str) -> list[dict[str, Any]]:
        return [self._shown(object_type, row) for row in self.records.tables[object_type].rows.values()]

    def get_record(self, object_type: str, id_: int | str) -> dict[str, Any] | None:
        row = self.records.tables[object_type].rows.get(self._id(object_type, id_))
        return None if row is None else self._shown(object_type, row)

    def _shown(self, object_type: str, row: Row) -> dict[str, Any]:
        return dict(shown(self.records.schema.existing.get(object_type, OBJECTS[object_type]), row))

    def create_record(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._by_person(object_type, values, lambda writer: self.records.create(object_type, values, writer))

    def update_record(self, object_type: str, id_: int | str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Changes a record as a person would; IsDeleted puts it into the recycle bin or takes it out."""
        row = self.records.tables[object_type].rows.get(self._id(object_type, id_))
        if row is None:
            raise ValueError(f"there is no {object_type} {id_}")
        if values.get("IsDeleted") is True:
            self.delete_record(object_type, id_)
            return self._shown(object_type, self.records.tables[object_type].rows[row["Id"]])
        is_restored = values.get("IsDeleted") is False and bool(row.get("IsDeleted"))
        if row.get("IsDeleted") and not is_restored:
            raise ValueError("the record is in the recycle bin; set IsDeleted to false first")
        given = {name: value for name, value in values.items() if name != "IsDeleted"}

        def change(writer: Writer) -> Row:
            if is_restored:
                self.records.restore_deleted(object_type, row["Id"], writer)
            return self.records.update(object_type, row["Id"], given, writer)

        return self._by_person(object_type, values, change)

    def delete_record(self, object_type: str, id_: int | str) -> None:
        row = self.records.tables[object_type].rows.get(self._id(object_type, id_))
        if row is None or row.get("IsDeleted") or object_type == "User":
            raise ValueError(f"there is no {object_type} {id_} that can be deleted")

        def delete(writer: Writer) -> Row:
            self.records.delete(object_type, row["Id"], writer)
            return row

        self._by_person(object_type, {}, delete)

    def merge(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Merges `object`, `winner` and `losers`, with `values` for the winner. Returns the winner. Raises ValueError."""
        object_name, winner, losers = (given.get(name) for name in ("object", "winner", "losers"))
        if not isinstance(object_name, str) or not isinstance(winner, str) or not isinstance(losers, list):
            raise ValueError("a merge needs object, winner and losers: a text, an id and a list of ids")
        values = given.get("values", {})
        if not isinstance(values, dict):
            raise ValueError("values must be an object")
        texts = [str(each) for each in losers]
        return self._by_person(object_name, values, lambda w: merging.merge(self.records, object_name, winner, texts, values, w))

    def convert(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Converts `lead`, into `account` and `contact` where they are named, with an `opportunity` of this name. Returns the
        lead. Raises ValueError."""
        names = ("lead", "account", "contact", "opportunity")
        texts = {name: given.get(name, "") for name in names}
        if set(given) - set(names) or not all(isinstance(text, str) for text in texts.values()) or not texts["lead"]:
            raise ValueError("a conversion needs lead, and may name account, contact and opportunity")
        lead = texts.pop("lead")
        return self._by_person("Lead", {}, lambda writer: merging.convert(self.records, lead, writer, **texts))

    def _by_person(self, object_type: str, values: Mapping[str, Any], act: Callable[[Writer], Row]) -> dict[str, Any]:
        """Does what a person does: all of it or nothing. Raises ValueError in the system's words."""
        by = ids.read(values.get("LastModifiedById")) or self._admin
        start = self.records.savepoint()
        try:
            row = act(Writer(by, is_person=True))
        except (Refused, ValueError) as error:
            self.records.roll_back(start)
            raise ValueError(str(error)) from None
        finally:
            self.records.forget_journal()
        return self._shown(object_type, row)

    def expire_tokens(self) -> None:
        self.desk.expire()

    def switches(self) -> dict[str, Any]:
        return self.records.switches.as_dict()

    def switch_names(self) -> tuple[str, ...]:
        return NAMES

    def set_switches(self, given: Mapping[str, Any]) -> None:
        """Sets the switches that are named. Raises ValueError, and sets none, for a value that is not one of theirs."""
        new = changed(self.records.switches, given)
        try:
            self._apply(new)
        except (Refused, ValueError) as error:
            self._apply(self.records.switches)
            raise ValueError(str(error)) from None
        before, self.records.switches = self.records.switches, new
        if new.hidden() != before.hidden():
            self._schema_changed_at = self._now()
        if new.shared_activities != before.shared_activities:
            relations.settle(self.records, Writer(self._admin))
            self.records.forget_journal()

    def _apply(self, switches: Switches) -> None:
        """Makes the schema and the rules that switches ask for. Raises ValueError or Refused for what cannot be."""
        records = self.records
        records.schema.apply(switches.hidden())
        records.rules = [self._rule(given) for given in switches.validation_rules]
        if switches.jwt_certificate is not None:
            jwt.public_key(switches.jwt_certificate)
        if switches.assignment_owner is not None and ids.read(switches.assignment_owner) not in records.tables["User"].rows:
            raise ValueError("assignment_owner must be the id of a user")
        if unknown := set(switches.read_only_users + (switches.modify_all_users or [])) - set(records.tables["User"].rows):
            raise ValueError(f"there is no user {min(unknown)}")
        before, records.switches = records.switches, switches
        try:
            for view in views_of(records).values():
                if view.object_name in records.schema.objects:
                    soql_run.select(records, parse(query_of(view, records.schema.objects[view.object_name])), user=self.desk.user)
        except KeyError:
            raise ValueError("there are no list views of this object") from None
        finally:
            records.switches = before

    def _rule(self, given: Mapping[str, str]) -> tuple[str, Callable[[Row], bool], str]:
        object_, text = OBJECTS[given["object"]], given["when"]
        condition = parse_condition(text)

        def fits(row: Row) -> bool:
            return soql_run.compiled(self.records, object_, text, condition, self.desk.user)(row)

        fits({"Id": ids.make(object_.prefix, 1)})  # names that do not exist are refused now
        return object_.name, fits, given["message"]

    # --- over a restart -----------------------------------------------------------------------------------------------
    def meta(self) -> dict[str, Any]:
        return {
            "desk": self.desk.meta(),
            "limits": self.limits.meta(),
            "switches": self.switches(),
            "next_ids": {name: table.next_number for name, table in self.records.tables.items()},
            "locators": self._queries.next_number,
            "jobs": self._bulk.next_number,
        }

    def dump(self) -> dict[str, Any]:
        return {"meta": self.meta(), "tables": {n: {"rows": list(t.rows.values())} for n, t in self.records.tables.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        meta = state["meta"]
        for name, dumped in state["tables"].items():
            for row in dumped["rows"]:
                self.records.tables[name].put(dict(row))
            self.records.tables[name].dirty.clear()
        for name, next_id in meta["next_ids"].items():
            self.records.tables[name].next_number = next_id
        self.desk.restore(meta["desk"])
        self.limits.restore(meta["limits"])
        self._queries.next_number, self._bulk.next_number = meta["locators"], meta["jobs"]
        switches = Switches(**{name: value for name, value in meta["switches"].items() if name in NAMES})
        self._apply(switches)
        self.records.switches = switches

    def take_dirty(self) -> list[tuple[str, int, dict[str, Any] | None]]:
        tables = self.records.tables
        dirty = [(name, ids.number_of(i), t.rows.get(i)) for name, t in tables.items() for i in sorted(t.dirty)]
        for table in tables.values():
            table.dirty.clear()
        return dirty

    # --- HTTP ---------------------------------------------------------------------------------------------------------
    def method_of(self, request: Request) -> str:
        return request.method

    def template(self, path: str) -> str:
        return addresses.form_of(path)

    def shown(self, request: Request) -> str:
        """Returns the query, decoded, and the beginning of the body."""
        query = unquote_plus(masked(request.query))
        body = request.body[:MOST_MASKED].decode("utf-8", "replace")
        if request.path.startswith("/services/oauth2/"):
            body = masked(body)
        return " ".join(part for part in (query, body) if part)

    def trouble(self, kind: str, options: Mapping[str, Any], request: Request) -> Response:
        response = trouble.answer(kind, options, request.path, self.template(request.path))
        if request.path.startswith(f"{addresses.DATA}/"):
            response.headers.append(self.limits.header())
        return response

    def handle(self, request: Request) -> Response:
        template = self.template(request.path)
        address = len(request.path) + len(request.query)
        if address > LONGEST_REQUEST_LINE:
            return Response(414, b"<html><body>414 URI Too Long</body></html>", "text/html", template="/{too long}")
        if address + sum(len(n) + len(v) + 4 for n, v in request.headers.items()) > LONGEST_REQUEST_LINE:
            return Response(431, b"<html><body>431 Request Header Fields Too Large</body></html>", "text/html", template=template)
        parts = [unquote(p) for p in request.path.split("/") if p]
        response: Response | None = None
        if parts[:2] == ["services", "oauth2"]:
            response = self.desk.handle(request)
        elif parts[:1] == ["id"]:
            response = self.desk.identity(request, parts)
        elif parts == ["services", "data"]:
            response = self._versions(request)
        elif parts[:2] == ["services", "data"]:
            response = self._data(request, parts)
        if response is None:
            response = refusal(not_found()).response(template)
        response.template = template
        return response

    @staticmethod
    def _versions(request: Request) -> Response:
        """Answers `GET /services/data`, which needs no token and does not count."""
        listed = []
        for n in range(FIRST_VERSION, LAST_VERSION + 1):
            season, above = SEASONS[n % 3]
            listed.append({"label": f"{season} '{n // 3 + above}", "url": f"{addresses.DATA}/v{n}.0", "version": f"{n}.0"})
        if request.method not in ("GET", "HEAD"):
            told = f"HTTP Method '{request.method}' not allowed. Allowed are HEAD,GET"
            return refusal(Refused(405, "METHOD_NOT_ALLOWED", told)).response("")
        return Answer(200, listed).response("")

    def _data(self, request: Request, parts: list[str]) -> Response:
        """Lets a call pass whose token is good, counts it, and answers it."""
        session = self.desk.session(request.headers.get("authorization", ""), request.base_url)
        if session is None:
            return refusal(trouble.SESSION_LOST).response("")
        if not {"api", "full"} & set(session.scopes.split()):
            return refusal(NO_API).response("")
        if not self.limits.count(1):
            answer = refusal(trouble.DAY_USED)
        else:
            try:
                answer = self._inner(self._call(request, parts, session))
            except Refused as error:
                answer = refusal(error)
        self.records.forget_journal()
        answer.headers.append(self.limits.header())
        return answer.response("")

    def _call(self, request: Request, parts: list[str], session: Session) -> Call:
        writer = Writer(session.user, locks=self.locks)
        body = _unzipped(request)
        version = parts[2].removeprefix("v")
        return Call(request.method, version, tuple(parts[3:]), request.query, request.headers, body, writer, base_url=request.base_url)

    def _inner(self, call: Call) -> Answer:
        """Answers one call, or one part of a composite; what it wrote before it was refused is taken back."""
        start = self.records.savepoint()
        try:
            options = read_duplicate_options(call.headers.get("sforce-duplicate-rule-header", ""))
            call.writer = replace(
                call.writer,
                may_save_duplicates="allowSave" in options,
                wants_details="includeRecordDetails" in options,
                may_assign=read_auto_assign(call.headers.get("sforce-auto-assign", "")),
                root=call.root,
            )
            return self._route(call)
        except Refused as error:
            self.records.roll_back(start)
            if error.status in (304, 412):
                return Answer(error.status)
            return refusal(error)

    def _route(self, call: Call) -> Answer:
        known = {f"{n}.0" for n in range(FIRST_VERSION, LAST_VERSION + 1)}
        if call.version not in known:
            raise not_found()
        first = call.parts[0] if call.parts else ""
        if not call.parts:
            return self._root(call)
        if first == "sobjects":
            return self._sobjects(call)
        if first in ("query", "queryAll") and len(call.parts) <= 2:
            return self._queries.answer(call)
        if first == "composite":
            return self._many(call)
        if first == "limits":
            return self._limits(call)
        if first == "jobs":
            return self._bulk.answer(call)
        raise not_found()

    def _root(self, call: Call) -> Answer:
        if not call.reads:
            raise method_not_allowed(call, "HEAD", "GET")
        paths = {name: f"{call.root}/{name}" for name in RESOURCES}
        base = self.records.switches.instance_url or call.base_url
        return Answer(200, {**paths, "identity": f"{base}/id/{self.desk.org_id}/{call.writer.user}"})

    def _sobjects(self, call: Call) -> Answer:
        if len(call.parts) >= 3 and call.parts[2] in ("updated", "deleted", "listviews"):
            object_ = self.records.schema.objects.get(call.parts[1])
            if object_ is None:
                raise not_found()
            if call.parts[2] == "listviews":
                return self._views.answer(call, object_)
            if len(call.parts) == 3:
                return replication.answer(self.records, call, object_)
        return self._rows.answer(call)

    def _many(self, call: Call) -> Answer:
        rest = call.parts[1:]
        if rest[:1] == ("sobjects",):
            return self._collections.answer(call)
        if not rest:
            return self._composite.answer(call)
        if rest == ("batch",):
            return self._composite.batch(call)
        raise not_found()

    def _limits(self, call: Call) -> Answer:
        if not call.reads:
            raise method_not_allowed(call, "HEAD", "GET")
        if call.parts == ("limits",):
            return Answer(200, self.limits.as_json())
        if call.parts != ("limits", "recordCount"):
            raise not_found()
        wanted = [name for name in call.parameters.get("sObjects", "").split(",") if name] or list(self.records.schema.objects)
        counts = []
        for name in wanted:
            if name not in self.records.schema.objects:
                raise bad_parameter(f"sObjects: there is no {name[:80]}")
            rows = self.records.tables[name].rows.values()
            counts.append({"count": sum(not row.get("IsDeleted") for row in rows), "name": name})
        return Answer(200, {"sObjects": counts})


def _unzipped(request: Request) -> bytes:
    """Returns the body of a request, unpacked where it came packed. Raises Refused."""
    if request.headers.get("content-encoding", "").lower() != "gzip":
        return request.body
    try:
        unpack = zlib.decompressobj(wbits=31)
        body = unpack.decompress(request.body, MOST_UNZIPPED)
    except zlib.error:
        raise Refused(400, "JSON_PARSER_ERROR", "the body is not gzip") from None
    if unpack.unconsumed_tail:
        raise Refused(413, "REQUEST_ENTITY_TOO_LARGE", "the body is too large")
    return body
