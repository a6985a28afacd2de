"""Workbooks, played: list reads, square-array writes, API key and session, as reference/workbooks states them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from connectors.sandbox.wire import Request, Response
from connectors.sandbox.workbooks import query
from connectors.sandbox.workbooks.codec import show, show_datetime, store
from connectors.sandbox.workbooks.metadata import BY_PATH, TYPES, Column, ObjectType, describe
from connectors.sandbox.workbooks.query import BadFilter, FilterTest, Node, Row
from connectors.sandbox.workbooks.table import Table

Pairs = list[tuple[str, str]]
ROWS_A_PAGE = 100
ROWS_A_WRITE = 100
STALE = "This record cannot be saved since it has already been updated elsewhere."
API_USER, PERSON_USER = 2, 3
USERS = {API_USER: "Sync Service", PERSON_USER: "Jo Admin", 4: "Priya Nair", 5: "Tom Becker"}
OFFSET_IGNORED = {"_dc", "client", "api_key", "_api_version", "_method", "callback", "jsonp", "json"}


class WorkbooksSystem:
    """The state of one Workbooks database and what it answers."""

    name = "workbooks"

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self._now = now
        digest = hashlib.sha256(f"workbooks {seed}".encode()).hexdigest()
        self.api_key = "-".join(digest[i : i + 5] for i in range(0, 40, 5))
        self.username, self.password, self.database_id = "sync@example.test", digest[40:56], "3"
        self.tables = {name: Table(type_) for name, type_ in TYPES.items()}
        self.sessions: dict[str, str] = {}
        self.is_migrated = False

    # --- what the world asks ------------------------------------------------------------------------------------
    def credentials(self) -> dict[str, Any]:
        return {"api_key": self.api_key, "username": self.username, "password": self.password, "database_id": self.database_id}

    def objects(self) -> tuple[str, ...]:
        return tuple(self.tables)

    def list_records(self, object_type: str) -> list[dict[str, Any]]:
        return [self._shown(self.tables[object_type], row) for row in self.tables[object_type].rows.values()]

    def get_record(self, object_type: str, id_: int) -> dict[str, Any] | None:
        row = self.tables[object_type].rows.get(id_)
        return None if row is None else self._shown(self.tables[object_type], row)

    def create_record(self, object_type: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return self._user_write(self.tables[object_type], None, values)

    def update_record(self, object_type: str, id_: int, values: Mapping[str, Any]) -> dict[str, Any]:
        row = self.tables[object_type].rows.get(id_)
        if row is None:
            raise ValueError(f"there is no {object_type} {id_}")
        return self._user_write(self.tables[object_type], row, values)

    def delete_record(self, object_type: str, id_: int) -> None:
        table = self.tables[object_type]
        row = table.rows.get(id_)
        if row is None or row["is_deleted"]:
            raise ValueError(f"there is no {object_type} {id_}")
        table.put({**row, "is_deleted": True, **self._stamp(row, PERSON_USER)})

    def expire_tokens(self) -> None:
        self.sessions.clear()

    def dump(self) -> dict[str, Any]:
        return {"meta": self.meta(), "tables": {name: table.dump() for name, table in self.tables.items()}}

    def meta(self) -> dict[str, Any]:
        """Returns the small state besides the rows."""
        return {"sessions": self.sessions, "next_ids": {n: t.next_id for n, t in self.tables.items()}, "api_key": self.api_key}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.sessions = dict(state["meta"]["sessions"])
        self.api_key = state["meta"].get("api_key", self.api_key)
        for name, dumped in state["tables"].items():
            for row in dumped["rows"]:
                self.tables[name].put(dict(row))
            self.tables[name].dirty.clear()
        for name, next_id in state["meta"]["next_ids"].items():
            self.tables[name].next_id = max(next_id, self.tables[name].next_id)

    def take_dirty(self) -> list[tuple[str, int, dict[str, Any] | None]]:
        changed = [(name, id_, table.rows.get(id_)) for name, table in self.tables.items() for id_ in sorted(table.dirty)]
        for table in self.tables.values():
            table.dirty.clear()
        return changed

    def _user_write(self, table: Table, row: Row | None, values: Mapping[str, Any]) -> dict[str, Any]:
        given = dict(values)
        backdated = given.pop("updated_at", None)
        stored, problems = self._stored(table.type, given, strict=True)
        if row is None and not stored.get("name"):
            problems["name"] = ["can't be blank"]
        if problems:
            raise ValueError("; ".join(f"{name} {text}" for name, texts in problems.items() for text in texts))
        saved = self._save(table, row, stored, PERSON_USER, "Browser")
        if backdated is not None:
            epoch, refusal = store(table.type.columns["updated_at"], backdated)
            if refusal:
                raise ValueError(f"updated_at {refusal}")
            saved = {**saved, "updated_at": epoch}
            table.put(saved)
        return self._shown(table, saved)

    # --- HTTP -----------------------------------------------------------------------------------------------------
    def handle(self, request: Request) -> Response:
        if not request.headers.get("user-agent"):
            return self._failure(403, "user_agent_required", "/")
        path = request.path.strip("/")
        if not path.endswith(".api"):
            return self._error(404, "There is no such page.", "/{unknown}")
        path = path[: -len(".api")]
        pairs = self._pairs(request)
        method = next((v.upper() for k, v in pairs if k == "_method"), request.method)
        template = f"/{path}.api"
        if path == "login":
            return self._login(pairs, template)
        refusal = self._refuse_caller(request, pairs, method, template)
        if refusal is not None:
            return refusal
        if self.is_migrated:
            return self._failure(403, "database_being_migrated", template)
        try:
            return self._route(path, method, pairs, template)
        except BadFilter as error:
            return self._error(406, str(error), template)

    def _route(self, path: str, method: str, pairs: Pairs, template: str) -> Response:
        if path == "metadata/types":
            return self._metadata(pairs, template)
        if path not in BY_PATH:
            return self._error(404, f"There is no controller {path}.", "/{unknown}")
        table = self.tables[BY_PATH[path].name]
        if method == "GET":
            return self._list(table, pairs, template)
        if method == "PUT":
            return self._change(table, pairs, template)
        return self._error(405, f"{method} is not allowed here.", template)

    def _pairs(self, request: Request) -> Pairs:
        """Returns all parameters, of the address and of a form body, in order."""
        pairs = parse_qsl(request.query, keep_blank_values=True)
        if request.body and "json" not in request.headers.get("content-type", ""):
            pairs += parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return pairs

    def _refuse_caller(self, request: Request, pairs: Pairs, method: str, template: str) -> Response | None:
        keys = [v for k, v in pairs if k == "api_key"]
        if keys:
            return None if keys[-1] == self.api_key else self._failure(401, "unrecognised_name_or_password", template)
        cookie = request.headers.get("cookie", "")
        session = next((p.split("=", 1)[1] for p in cookie.split("; ") if p.startswith("Workbooks-Session=")), "")
        if session not in self.sessions:
            return self._failure(401, "no_session", template)
        token = next((v for k, v in pairs if k == "_authenticity_token"), "")
        if method == "PUT" and token != self.sessions[session]:
            return self._failure(403, "no_permission_for_api", template)
        return None

    def _login(self, pairs: Pairs, template: str) -> Response:
        given = dict(pairs)
        by_key = given.get("api_key") == self.api_key
        by_name = given.get("username") == self.username and given.get("password") == self.password
        if not (by_key or by_name):
            return self._failure(401, "unrecognised_name_or_password", template)
        session = hashlib.sha256(f"{self.api_key} {len(self.sessions)} {self._now().timestamp()}".encode()).hexdigest()[:32]
        token = hashlib.sha1(session.encode(), usedforsecurity=False).hexdigest()
        self.sessions[session] = token
        database = int(self.database_id)
        body = {
            "session_id": session,
            "authenticity_token": token,
            "user_id": API_USER,
            "person_name": USERS[API_USER],
            "login_name": self.username,
            "logical_database_id": database,
            "default_database_id": database,
            "database_instance_id": 123122,
            "database_name": "Sandbox",
            "databases": [{"id": database, "name": "Sandbox", "created_at": show_datetime(int(self._now().timestamp()))}],
            "timezone": "London",
            "version": "Sandbox (build 1)",
            "api_version": 1,
            "my_queues": {},
        }
        response = self._json(200, body, template)
        response.headers.append(("Set-Cookie", f"Workbooks-Session={session}; path=/; secure; HttpOnly"))
        return response

    def _metadata(self, pairs: Pairs, template: str) -> Response:
        wanted = {v for k, v in pairs if k.startswith("class_names")}
        rows = [describe(t) for t in TYPES.values() if not wanted or t.class_name in wanted]
        columns = {v for k, v in pairs if k.startswith("_select_columns")}
        if columns:
            rows = [{k: v for k, v in row.items() if k in columns} for row in rows]
        return self._json(200, {"data": rows, "total": len(rows), "success": True, "flash": "", "updates": {}}, template)

    # --- reading ---------------------------------------------------------------------------------------------------
    def _list(self, table: Table, pairs: Pairs, template: str) -> Response:
        tree = _tree(pairs)
        predicate = query.compile_node(tree, table.type.columns, self._now())
        shows_deleted = query.mentions(tree, "is_deleted")
        start, limit = _window(pairs)
        sort = _sort(pairs, table.type.columns)
        counts = not any(k in ("__skip_total_rows", "_skip_total_rows") and v.lower() == "true" for k, v in pairs)
        fits: Callable[[Row], bool] = lambda row: (shows_deleted or not row["is_deleted"]) and predicate(row)  # noqa: E731
        found = self._matching(table, tree, fits, sort, None if counts else start + limit)
        total = len(found)
        page = found[start : start + limit]
        columns = [v for k, v in pairs if k.startswith("_select_columns")]
        unknown = [c for c in columns if c not in table.type.columns]
        if unknown:
            raise BadFilter(f"unknown attribute '{unknown[0]}'")
        data = [self._shown(table, row, columns) for row in page]
        body = {"data": data, "total": total if counts else len(data), "success": True, "flash": "", "updates": {}}
        return self._json(200, body, template)

    def _matching(self, table: Table, tree: Node, fits: Callable[[Row], bool], sort: list[tuple[str, bool]], most: int | None) -> list[Row]:
        ids = query.candidates(tree, table)
        in_time_order = sort == [("updated_at", True), ("id", True)]
        if ids is None and in_time_order:
            found = []
            for row in table.in_order(query.lower_bound(tree)):
                if fits(row):
                    found.append(row)
                    if most is not None and len(found) >= most:
                        break
            return found
        rows = table.rows.values() if ids is None else [table.rows[i] for i in ids if i in table.rows]
        found = [row for row in rows if fits(row)]
        for name, ascending in reversed(sort or [("id", True)]):
            found.sort(key=lambda row: _sortable(row.get(name)), reverse=not ascending)
        return found

    def _shown(self, table: Table, row: Row, columns: list[str] | None = None) -> dict[str, Any]:
        names = columns or list(table.type.columns)
        shown = {}
        for name in names:
            column = table.type.columns.get(name)
            shown[name] = show(column, self._computed(row, name))
        if "id" not in shown:
            shown["id"] = row["id"]
        return shown

    def _computed(self, row: Row, name: str) -> Any:
        if name == "updated_by_user[person_name]":
            return USERS.get(row["updated_by"], "")
        if name in ("created_by_user[person_name]", "owner[person_name]"):
            return USERS.get(row["created_by"], "")
        if name == "employer[name]":
            employer = self.tables["organisations"].rows.get(row.get("employer_link") or 0)
            return employer["name"] if employer else ""
        if name == "is_deleted":
            return bool(row["is_deleted"])
        value = row.get(name)
        return False if value is None and self._is_boolean(name) else value

    @staticmethod
    def _is_boolean(name: str) -> bool:
        return any((c := t.columns.get(name)) is not None and c.datatype == "boolean" for t in TYPES.values())

    # --- writing ---------------------------------------------------------------------------------------------------
    def _change(self, table: Table, pairs: Pairs, template: str) -> Response:
        rows, refusal = _square(pairs)
        if refusal:
            return self._error(406, refusal, template)
        if len(rows) > ROWS_A_WRITE:
            return self._error(406, f"At most {ROWS_A_WRITE} objects may be changed in one request.", template)
        flags = dict(pairs)
        strict = flags.get("_strict_attribute_checking", "").lower() in ("true", "1")
        each = flags.get("_per_object_transactions", "").lower() in ("true", "1")
        selected = self._selected(table, pairs)
        checked = [self._check(table, row, selected, strict) for row in rows]
        if not each and any(problems or failure for _, problems, failure in checked):
            return self._all_refused(checked, template)
        affected, information = [], []
        for row, (stored, problems, failure) in zip(rows, checked, strict=True):
            if problems or failure:
                affected.append({"id": int(row["id"])} if row["id"].isdigit() else {})
                errors = dict(problems) or {"base": [failure]}
                information.append({"success": False, "errors": errors, "warnings": {}})
                continue
            affected.append(self._apply(table, row, stored))
            information.append({"success": True, "errors": {}, "warnings": {}})
        ok = all(line["success"] for line in information)
        body: dict[str, Any] = {"affected_objects": affected, "affected_object_information": information, "success": ok, "updates": {}}
        body["flash"] = "Updated successfully" if ok else ""
        failures = [failure for _, _, failure in checked if failure]
        if failures:
            body["failures"] = failures
        return self._json(200, body, template)

    def _selected(self, table: Table, pairs: Pairs) -> set[int]:
        """Returns the ids that the request's filter selects: the working set a change may touch (0 stands for new)."""
        tree = _tree(pairs)
        if not tree.parts and tree.test is None:
            return {0}
        predicate = query.compile_node(tree, table.type.columns, self._now())
        ids = query.candidates(tree, table)
        rows = table.rows.values() if ids is None else [table.rows[i] for i in ids if i in table.rows]
        return {0} | {row["id"] for row in rows if predicate(row)}

    def _check(self, table: Table, row: dict[str, str], selected: set[int], strict: bool) -> tuple[Row, dict[str, list[str]], str]:
        """Returns the values to store, problems by attribute, and a failure of the row as a whole."""
        method, id_text = row["__method"].upper(), row["id"]
        id_ = int(id_text) if id_text.isdigit() else -1
        values = {k: v for k, v in row.items() if k not in ("__method", "id", "lock_version") and v != ":no_value:"}
        stored, problems = self._stored(table.type, {k: None if v == ":null_value:" else v for k, v in values.items()}, strict=strict)
        if method == "POST":
            if not stored.get("name"):
                problems["name"] = ["can't be blank"]
            return stored, problems, ""
        if method not in ("PUT", "DELETE"):
            return stored, problems, f"unknown method {method}"
        present = table.rows.get(id_)
        if present is None or present["is_deleted"] or id_ not in selected:
            return stored, problems, f"Record {id_text} was not found."
        if row["lock_version"] != str(present["lock_version"]):
            return stored, problems, STALE
        if "name" in stored and not stored["name"]:
            problems["name"] = ["can't be blank"]
        return stored, problems, ""

    def _stored(self, type_: ObjectType, values: Mapping[str, Any], *, strict: bool) -> tuple[Row, dict[str, list[str]]]:
        stored: Row = {}
        problems: dict[str, list[str]] = {}
        for name, value in values.items():
            column: Column | None = type_.columns.get(name)
            if column is None:
                if strict:
                    problems[name] = [f"unknown attribute '{name}'"]
            elif not column.is_writable:
                if strict and name != "id":
                    problems[name] = ["cannot be changed"]
            else:
                stored[name], refusal = store(column, value)
                if refusal:
                    problems[name] = [refusal]
        employer = stored.get("employer_link")
        if employer and employer not in self.tables["organisations"].rows:
            problems["employer_link"] = ["does not exist"]
        return stored, problems

    def _apply(self, table: Table, row: dict[str, str], stored: Row) -> dict[str, Any]:
        """Carries out one checked row and returns what the reply says of it."""
        method = row["__method"].upper()
        if method == "POST":
            return self._shown(table, self._save(table, None, stored, API_USER, "api"))
        present = table.rows[int(row["id"])]
        if method == "DELETE":
            gone = {**present, "is_deleted": True, **self._stamp(present, API_USER)}
            table.put(gone)
            return {"id": gone["id"], "lock_version": gone["lock_version"]}
        saved = self._save(table, present, stored, API_USER, "api")
        columns = ["id", "lock_version", "updated_at", "updated_by", *stored]
        return self._shown(table, saved, list(dict.fromkeys(columns)))

    def _save(self, table: Table, row: Row | None, stored: Row, user: int, through: str) -> Row:
        if row is None:
            id_ = table.next_id
            at = int(self._now().timestamp())
            row = {
                "id": id_,
                "lock_version": -1,
                "object_ref": f"{table.type.reference_prefix}-{id_}",
                "created_at": at,
                "created_by": user,
                "is_deleted": False,
                "created_through": through,
                "type": table.type.class_name,
            }
        saved = {**row, **stored, **self._stamp(row, user)}
        table.put(saved)
        return saved

    def _stamp(self, row: Row, user: int) -> Row:
        return {"lock_version": row["lock_version"] + 1, "updated_at": int(self._now().timestamp()), "updated_by": user}

    def _all_refused(self, checked: list[tuple[Row, dict[str, list[str]], str]], template: str) -> Response:
        failures = [failure for _, _, failure in checked if failure]
        if failures:
            return self._json(200, {"success": False, "failures": failures}, template)
        body = {
            "success": False,
            "affected_object_errors": [problems for _, problems, _ in checked],
            "errors": {"[]": {name: texts[0] for _, problems, _ in checked for name, texts in problems.items()}},
        }
        return self._json(200, body, template)

    # --- answers ---------------------------------------------------------------------------------------------------
    @staticmethod
    def _json(status: int, body: Mapping[str, Any], template: str) -> Response:
        return Response(status, json.dumps(body).encode(), template=template)

    def _failure(self, status: int, reason: str, template: str) -> Response:
        """The Guide names the key `failure_reason`, the libraries read `failure_message`: both are sent."""
        return self._json(status, {"success": False, "failure_reason": reason, "failure_message": reason}, template)

    def _error(self, status: int, sentence: str, template: str) -> Response:
        return self._json(status, {"success": False, "errors": {"base": [sentence]}, "flash": sentence}, template)


def _tree(pairs: Pairs) -> Node:
    """Returns the filter of a request as a tree; no filter selects everything."""
    fields = [v for k, v in pairs if k in ("_ff[]", "_ff")]
    types = [v for k, v in pairs if k in ("_ft[]", "_ft")]
    criteria = [v for k, v in pairs if k in ("_fc[]", "_fc")]
    if not len(fields) == len(types) == len(criteria):
        raise BadFilter("_ff, _ft and _fc must come in groups")
    tests = [FilterTest(f, t, c) for f, t, c in zip(fields, types, criteria, strict=True)]
    for key, value in pairs:
        if key == "_filter_json":
            tests += query.read_filter_json(value)
    expression = next((v for k, v in pairs if k in ("_fm", "_fm[]")), "and")
    if not tests:
        return Node("AND")
    return query.parse_expression(expression, tests)


def _window(pairs: Pairs) -> tuple[int, int]:
    """Returns start and limit: `_limit` is ignored unless `_start` is present; a page has at most a hundred rows."""
    given = dict(pairs)
    if "_start" not in given:
        return 0, ROWS_A_PAGE
    try:
        return max(0, int(given["_start"])), max(0, min(ROWS_A_PAGE, int(given.get("_limit", ROWS_A_PAGE))))
    except ValueError as error:
        raise BadFilter("_start and _limit must be numbers") from error


def _sort(pairs: Pairs, columns: Mapping[str, Column]) -> list[tuple[str, bool]]:
    names = [v for k, v in pairs if k in ("_sort", "_sort[]")]
    directions = [v.upper() != "DESC" for k, v in pairs if k in ("_dir", "_dir[]")]
    for name in names:
        if name not in columns:
            raise BadFilter(f"unknown attribute '{name}'")
    directions += [True] * (len(names) - len(directions))
    return list(zip(names, directions, strict=False))


def _sortable(value: Any) -> tuple[int, Any]:
    if value is None:
        return (0, 0)
    return (1, value.casefold()) if isinstance(value, str) else (1, value)


def _square(pairs: Pairs) -> tuple[list[dict[str, str]], str]:
    """Returns the rows of a change, read by position from parallel arrays, and "" or why they are not square."""
    arrays: dict[str, list[str]] = {}
    for key, value in pairs:
        if key.endswith("[]") and key not in ("_ff[]", "_ft[]", "_fc[]", "_fm[]", "_sort[]", "_dir[]", "_select_columns[]"):
            arrays.setdefault(key[:-2], []).append(value)
    for needed in ("__method", "id", "lock_version"):
        if needed not in arrays:
            return [], f"{needed} is missing"
    length = len(arrays["__method"])
    uneven = [name for name, values in arrays.items() if len(values) != length]
    if uneven:
        return [], f"{uneven[0]} has {len(arrays[uneven[0]])} values for {length} objects"
    return [{name: values[i] for name, values in arrays.items()} for i in range(length)], ""
