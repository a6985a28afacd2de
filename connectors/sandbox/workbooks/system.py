"""Workbooks, played: list reads, square-array writes, API key and session, as reference/workbooks states them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.wire import Request, Response, read_id, template_of
from connectors.sandbox.workbooks import bodies, query, trouble
from connectors.sandbox.workbooks.admin import API_USER, PERSON_USER, QUEUE_IDS, QUEUE_NAMES, QUEUES, USERS, CustomFields, queues
from connectors.sandbox.workbooks.bodies import Pairs, dressed, failure, method_in, read_pairs, refusal, reply
from connectors.sandbox.workbooks.codec import show, show_datetime, store
from connectors.sandbox.workbooks.metadata import BY_PATH, Column, describe
from connectors.sandbox.workbooks.parameters import sort, sortable, square, tree, window
from connectors.sandbox.workbooks.query import BadFilter, Node, Row
from connectors.sandbox.workbooks.session import Sessions, cookie_of, set_cookie
from connectors.sandbox.workbooks.table import Table

ROWS_A_WRITE = 100
STALE = "This record cannot be saved since it has already been updated elsewhere."
COMPUTED = frozenset(("updated_by_user[person_name]", "created_by_user[person_name]", "owner[person_name]", "employer[name]"))
Checked = tuple[Row, dict[str, list[str]], str]  # values to store, problems by attribute, a failure of the row as a whole


class WorkbooksSystem:
    """The state of one Workbooks database and what it answers."""

    name = "workbooks"

    def __init__(self, *, now: Callable[[], datetime], seed: int) -> None:
        self._now = now
        digest = hashlib.sha256(f"workbooks {seed}".encode()).hexdigest()
        self.api_key = "-".join(digest[i : i + 5] for i in range(0, 40, 5))
        self.username, self.password, self.database_id = "sync@example.test", digest[40:56], "3"
        self.custom_fields = CustomFields(now=now)
        self.tables = {name: Table(type_) for name, type_ in self.custom_fields.types.items()}
        self.sessions = Sessions(now=now, secret=self.api_key)
        self.is_migrated = False
        self.may_change = True  # whether the metadata grants the key's user changes
        self.scheduled_actions: list[dict[str, Any]] = []  # the database's own scheduled processes
        self._delayed: dict[str, Request] = {}
        self._last_read: tuple[Request, Pairs] | None = None
        self._exceptions = 0

    # --- what the world asks ------------------------------------------------------------------------------------
    def credentials(self) -> dict[str, Any]:
        return {"api_key": self.api_key, "username": self.username, "password": self.password, "database_id": self.database_id}

    def objects(self) -> tuple[str, ...]:
        return tuple(self.tables)

    def find_id(self, object_type: str, text: str) -> int | None:
        id_ = read_id(text)
        return id_ if id_ in self.tables[object_type].rows else None

    def count(self, object_type: str) -> int:
        return len(self.tables[object_type].rows)

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
        fields = self.custom_fields.meta()
        return {
            "sessions": self.sessions.meta(),
            "custom_fields": fields,
            "next_ids": {n: t.next_id for n, t in self.tables.items()},
            "api_key": self.api_key,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.sessions.restore(state["meta"]["sessions"])
        self.custom_fields.restore(state["meta"].get("custom_fields", []))
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
        stored, problems = self._stored(table, given, strict=True, id_=row["id"] if row else None)
        epoch, problem = (None, "") if backdated in (None, "") else store(table.type.columns["updated_at"], backdated)
        if problem:
            problems["updated_at"] = [problem]
        if not stored.get("name", row and row["name"]):
            problems.setdefault("name", ["can't be blank"])
        if problems:
            raise ValueError("; ".join(f"{name} {text}" for name, texts in problems.items() for text in texts))
        saved = self._save(table, row, stored, PERSON_USER, "Browser", at=epoch)
        return self._shown(table, saved)

    # --- HTTP -----------------------------------------------------------------------------------------------------
    def handle(self, request: Request) -> Response:
        if not request.headers.get("user-agent"):
            return failure(403, "user_agent_required", "/")
        path = request.path.strip("/")
        if path.startswith("delay/"):
            return self._after_delay(path)
        if path in ("login", "logout"):
            return self._page(request, path)
        if not path.endswith(".api"):
            return refusal(404, "There is no such page.", "/{unknown}")
        try:
            pairs = self._pairs(request)
        except BadFilter as error:
            return refusal(406, str(error), template_of(request.path))
        response = self._answer(request, path[: -len(".api")], pairs)
        fresh = self.sessions.replacement(cookie_of(request.headers.get("cookie", "")))
        if fresh:
            response.headers.append(set_cookie(fresh))
        return dressed(response, pairs)

    def _pairs(self, request: Request) -> Pairs:
        """Returns the parameters of a request, read once: the world asks for its method before it is answered."""
        if self._last_read is None or self._last_read[0] is not request:
            self._last_read = (request, read_pairs(request))
        return self._last_read[1]

    def template(self, path: str) -> str:
        return template_of(path)

    def method_of(self, request: Request) -> str:
        try:
            return method_in(self._pairs(request), request.method)
        except BadFilter:
            return request.method

    def shown(self, request: Request) -> str:
        try:
            return bodies.shown(request, self._pairs(request))
        except BadFilter:
            return ""

    def trouble(self, kind: str, options: Mapping[str, Any], request: Request) -> Response:
        if kind == "delay_redirect":
            return Response(302, b"", "text/html", [("Location", self.delay(request))], template_of(request.path))
        self._exceptions += 1
        return trouble.answer(kind, options, template_of(request.path), self._exceptions)

    def _answer(self, request: Request, path: str, pairs: Pairs) -> Response:
        method = method_in(pairs, request.method)
        template = template_of(f"/{path}.api")
        if path == "login":
            return self._login(pairs, template)
        refused = self._refuse_caller(request, pairs, method, template)
        if refused is not None:
            return refused
        if self.is_migrated:
            return failure(403, "database_being_migrated", template)
        try:
            return self._route(path, method, pairs, template)
        except BadFilter as error:
            return refusal(406, str(error), template)

    def delay(self, request: Request) -> str:
        """Keeps a request for the delaying address it is sent to, and returns that address."""
        token = f"{len(self._delayed) + 1:08x}"
        self._delayed[token] = request
        return f"/delay/{token}"

    def _after_delay(self, path: str) -> Response:
        """Answers the read that was delayed. A write is not carried out: what comes is a plain list."""
        request = self._delayed.pop(path.removeprefix("delay/"), None)
        if request is None:
            return refusal(404, "There is no such page.", "/delay/{id}")
        if self.method_of(request) == "GET":
            return self.handle(request)
        return reply(200, {"data": [], "total": 0, "success": True, "flash": "", "updates": {}}, "/delay/{id}")

    def _page(self, request: Request, path: str) -> Response:
        """The pages of a browser: log-in, and log-out, which leads there."""
        if path == "logout":
            self.sessions.close(cookie_of(request.headers.get("cookie", "")))
            return Response(302, b"", "text/html", [("Location", "/login")], "/logout")
        return Response(200, b"<!doctype html><title>Log in</title><p>Please log in.", "text/html; charset=utf-8", template="/login")

    def _route(self, path: str, method: str, pairs: Pairs, template: str) -> Response:
        self.custom_fields.ripen()
        if path == "metadata/types":
            return self._metadata(pairs, template)
        if path in QUEUES and method == "GET":
            return _rows(queues(QUEUES[path]), template)
        if path == "automation/scheduled_actions" and method == "GET":
            return _rows(self.scheduled_actions, template)
        if path == "admin/custom_fields":
            return self._custom_fields(method, pairs, template)
        if path not in BY_PATH:
            return refusal(404, f"There is no controller {path}.", "/{unknown}")
        table = self.tables[BY_PATH[path].name]
        if method == "GET":
            return self._list(table, pairs, template)
        if method == "PUT":
            return self._change(table, pairs, template)
        return refusal(405, f"{method} is not allowed here.", template)

    def _custom_fields(self, method: str, pairs: Pairs, template: str) -> Response:
        if method == "GET":
            return _rows([self.custom_fields.shown(row) for row in self.custom_fields.rows], template)
        rows, sentence = square(pairs)
        if sentence or any(row["__method"].upper() != "POST" for row in rows):
            return refusal(406, sentence or "Custom fields can only be created here.", template)
        made = [self.custom_fields.create(row) for row in rows]
        information = [{"success": not problems, "errors": problems, "warnings": {}} for _, problems in made]
        ok = all(line["success"] for line in information)
        body = {"affected_objects": [row for row, _ in made], "affected_object_information": information, "success": ok, "updates": {}}
        return reply(200, {**body, "flash": "Created successfully" if ok else ""}, template)

    def _refuse_caller(self, request: Request, pairs: Pairs, method: str, template: str) -> Response | None:
        keys = [v for k, v in pairs if k == "api_key"]
        if keys:
            return None if keys[-1] == self.api_key else failure(401, "unrecognised_name_or_password", template)
        session = cookie_of(request.headers.get("cookie", ""))
        if not session:
            return failure(401, "no_session", template)
        expected = self.sessions.token_of(session)
        if expected is None:  # as a browser is told: to the log-in page
            return Response(302, b"", "text/html", [("Location", "/login")], template)
        token = next((v for k, v in pairs if k == "_authenticity_token"), "")
        if method == "PUT" and token != expected:
            return failure(403, "no_permission_for_api", template)
        return None

    def _login(self, pairs: Pairs, template: str) -> Response:
        given = dict(pairs)
        if given.get("client") != "api" or not given.get("api_version", given.get("_api_version")):
            return failure(406, "client=api and api_version are mandatory", template)
        by_key = given.get("api_key") == self.api_key
        by_name = given.get("username") == self.username and given.get("password") == self.password
        again = given.get("username") == self.username and given.get("session_id", "") in self.sessions.tokens
        if not (by_key or by_name or again):
            return failure(401, "unrecognised_name_or_password", template)
        if given.get("logical_database_id") not in (None, self.database_id):
            return failure(403, "requested_database_not_available", template)
        session, token = self.sessions.open()
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
            "my_queues": {"Private::Crm::OrganisationQueue": 100 + API_USER, "Private::Crm::PersonQueue": 100 + API_USER},
        }
        response = reply(200, body, template)
        response.headers.append(set_cookie(session))
        return response

    def _metadata(self, pairs: Pairs, template: str) -> Response:
        wanted = {v for k, v in pairs if k.startswith("class_names")}
        rows = [describe(t) for t in self.custom_fields.types.values() if not wanted or t.class_name in wanted]
        for row in rows:
            row["actions"] = [{**a, "permitted": self.may_change or a["name"] == "read"} for a in row["actions"]]
        columns = {v for k, v in pairs if k.startswith("_select_columns")}
        if columns:
            rows = [{k: v for k, v in row.items() if k in columns} for row in rows]
        return reply(200, {"data": rows, "total": len(rows), "success": True, "flash": "", "updates": {}}, template)

    # --- reading ---------------------------------------------------------------------------------------------------
    def _list(self, table: Table, pairs: Pairs, template: str) -> Response:
        asked = tree(pairs)
        predicate = self._predicate(table, asked)
        shows_deleted = query.mentions(asked, "is_deleted")
        start, limit = window(pairs)
        order = sort(pairs, table.type.columns)
        counts = not any(k in ("__skip_total_rows", "_skip_total_rows") and v.lower() == "true" for k, v in pairs)
        fits: Callable[[Row], bool] = lambda row: (shows_deleted or not row["is_deleted"]) and predicate(row)  # noqa: E731
        found = self._matching(table, asked, fits, order, None if counts else start + limit)
        total = len(found)
        page = found[start : start + limit]
        columns = [v for k, v in pairs if k.startswith("_select_columns")]
        unknown = [c for c in columns if c not in table.type.columns]
        if unknown:
            raise BadFilter(f"unknown attribute '{unknown[0]}'")
        data = [self._formatted(table, self._shown(table, row, columns), row, pairs) for row in page]
        body = {"data": data, "total": total if counts else len(data), "success": True, "flash": "", "updates": {}}
        return reply(200, body, template)

    def _predicate(self, table: Table, asked: Node) -> Callable[[Row], bool]:
        inner = query.compile_node(asked, table.type.columns, self._now())
        names = [name for name in COMPUTED if query.mentions(asked, name)]
        return (lambda row: inner({**row, **{n: self._computed(row, n) for n in names}})) if names else inner

    def _matching(
        self, table: Table, asked: Node, fits: Callable[[Row], bool], order: list[tuple[str, bool]], most: int | None
    ) -> list[Row]:
        ids = query.candidates(asked, table)
        in_time_order = order in ([("updated_at", True)], [("updated_at", True), ("id", True)])
        if ids is None and in_time_order:
            found = []
            for row in table.in_order(query.lower_bound(asked)):
                if fits(row):
                    found.append(row)
                    if most is not None and len(found) >= most:
                        break
            return found
        rows = table.rows.values() if ids is None else [table.rows[i] for i in ids if i in table.rows]
        found = [row for row in rows if fits(row)]
        for name, ascending in reversed(order or [("id", True)]):
            value = self._computed if name in COMPUTED else dict.get
            found.sort(key=lambda row: sortable(value(row, name)), reverse=not ascending)  # noqa: B023
        return found

    def _shown(self, table: Table, row: Row, columns: list[str] | None = None) -> dict[str, Any]:
        names = columns or list(table.type.columns)
        shown = {}
        for name in names:
            column = table.type.columns.get(name)
            shown[name] = show(column, self._computed(row, name) if name in COMPUTED else row.get(name))
        if "id" not in shown:
            shown["id"] = row["id"]
        return shown

    def _formatted(self, table: Table, shown: dict[str, Any], row: Row, pairs: Pairs) -> dict[str, Any]:
        """Returns a shown row with its dates in the strftime form that the request names."""
        form = next((v for k, v in pairs if k == "_json_output_datetime_format"), "")
        if form:
            for name in shown:
                column = table.type.columns.get(name)
                if column is not None and column.datatype == "datetime" and isinstance(row.get(name), int):
                    shown[name] = _in_form(row[name], form)
        return shown

    def _computed(self, row: Row, name: str) -> Any:
        if name == "updated_by_user[person_name]":
            return USERS.get(row["updated_by"], "")
        if name == "created_by_user[person_name]":
            return USERS.get(row["created_by"], "")
        if name == "owner[person_name]":
            return USERS.get(row.get("owner_id") or row["created_by"], "")
        if name == "employer[name]":
            employer = self.tables["organisations"].rows.get(row.get("employer_link") or 0)
            return employer["name"] if employer else ""
        return row.get(name)

    # --- writing ---------------------------------------------------------------------------------------------------
    def _change(self, table: Table, pairs: Pairs, template: str) -> Response:
        rows, sentence = square(pairs)
        if sentence:
            return refusal(406, sentence, template)
        if len(rows) > ROWS_A_WRITE:
            return refusal(406, f"At most {ROWS_A_WRITE} objects may be changed in one request.", template)
        flags = dict(pairs)
        strict = flags.get("_strict_attribute_checking", "").lower() in ("true", "1")
        each = flags.get("_per_object_transactions", "").lower() in ("true", "1")
        selected = self._selected(table, pairs)
        checked = self._check_all(table, rows, selected, strict)
        if not each and any(problems or whole for _, problems, whole in checked):
            return self._all_refused(checked, template)
        affected, information = [], []
        for row, (stored, problems, whole) in zip(rows, checked, strict=True):
            if problems or whole:
                id_ = read_id(row["id"])
                affected.append({} if id_ is None else {"id": id_})
                errors = dict(problems) or {"base": [whole]}
                information.append({"success": False, "errors": errors, "warnings": {}})
                continue
            affected.append(self._apply(table, row, stored))
            information.append({"success": True, "errors": {}, "warnings": {}})
        ok = all(line["success"] for line in information)
        body: dict[str, Any] = {"affected_objects": affected, "affected_object_information": information, "success": ok, "updates": {}}
        body["flash"] = "Updated successfully" if ok else ""
        failures = [whole for _, _, whole in checked if whole]
        if failures:
            body["failures"] = failures
        return reply(200, body, template)

    def _selected(self, table: Table, pairs: Pairs) -> set[int]:
        """Returns the ids that the request's filter selects: the working set a change may touch (0 stands for new)."""
        asked = tree(pairs)
        if not asked.parts and asked.test is None:
            return {0}
        predicate = self._predicate(table, asked)
        ids = query.candidates(asked, table)
        rows = table.rows.values() if ids is None else [table.rows[i] for i in ids if i in table.rows]
        return {0} | {row["id"] for row in rows if predicate(row)}

    def _check_all(self, table: Table, rows: list[dict[str, str]], selected: set[int], strict: bool) -> list[Checked]:
        """Returns what each row will do, as things stand after the rows before it: one record twice in a request is stale
        the second time."""
        versions: dict[int, int | None] = {}  # of the records that rows before changed; None: deleted
        refcodes: set[str] = set()
        checked = []
        for row in rows:
            stored, problems, whole = self._check(table, row, selected, strict, versions)
            refcode = str(stored.get("refcode") or "").casefold()
            if refcode in refcodes:
                problems["refcode"] = [f"'{stored['refcode']}' is already used"]
            elif refcode and not whole:
                refcodes.add(refcode)
            id_, method = read_id(row["id"]), row["__method"].upper()
            if not problems and not whole and method in ("PUT", "DELETE") and id_ is not None:
                versions[id_] = None if method == "DELETE" else int(row["lock_version"]) + 1
            checked.append((stored, problems, whole))
        return checked

    def _check(self, table: Table, row: dict[str, str], selected: set[int], strict: bool, versions: Mapping[int, int | None]) -> Checked:
        method, id_ = row["__method"].upper(), read_id(row["id"])
        values = {k: v for k, v in row.items() if k not in ("__method", "id", "lock_version") and v != ":no_value:"}
        given = {k: None if v == ":null_value:" else v for k, v in values.items()}
        stored, problems = self._stored(table, given, strict=strict, id_=id_ if method == "PUT" else None)
        if method == "POST":
            if not stored.get("name"):
                problems.setdefault("name", ["can't be blank"])
            return stored, problems, ""
        if method not in ("PUT", "DELETE"):
            return stored, problems, f"unknown method {method[:20]}"
        present = table.rows.get(id_ or 0)
        version = versions.get(id_ or 0, present["lock_version"] if present and not present["is_deleted"] else None)
        if version is None or id_ not in selected:
            return stored, problems, f"Record {row['id'][:20]} was not found."
        if row["lock_version"] != str(version):
            return stored, problems, STALE
        if "name" in stored and not stored["name"]:
            problems.setdefault("name", ["can't be blank"])
        return stored, problems, ""

    def _stored(self, table: Table, values: Mapping[str, Any], *, strict: bool, id_: int | None = None) -> tuple[Row, dict[str, list[str]]]:
        stored: Row = {}
        problems: dict[str, list[str]] = {}
        for name, value in values.items():
            column: Column | None = table.type.columns.get(name)
            if column is None:
                if strict:
                    problems[name] = [f"unknown attribute '{name}'"]
            elif not column.is_writable:
                if strict and name != "id":
                    problems[name] = ["cannot be changed"]
            else:
                stored[name], problem = store(column, value)
                if problem:
                    problems[name] = [problem]
        self._check_references(table, stored, problems, id_)
        return stored, problems

    def _check_references(self, table: Table, stored: Row, problems: dict[str, list[str]], id_: int | None) -> None:
        """Adds problems of values that point at other rows or must be unique; a queue and its name go together."""
        employer = stored.get("employer_link")
        present = self.tables["organisations"].rows.get(employer or 0)
        if employer and (present is None or present["is_deleted"]):
            problems["employer_link"] = ["does not exist"]
        if stored.get("owner_id") is not None and stored["owner_id"] not in USERS:
            problems["owner_id"] = ["does not exist"]
        queue = stored.get("assigned_to")
        if queue is not None and queue not in QUEUE_NAMES:
            problems["assigned_to"] = ["does not exist"]
        if "assigned_to_name" in stored:
            stored["assigned_to"] = QUEUE_IDS.get(stored["assigned_to_name"] or "")
        elif "assigned_to" in stored:
            stored["assigned_to_name"] = QUEUE_NAMES.get(queue or 0)
        refcode = stored.get("refcode")
        if refcode and table.owner_of_refcode(refcode) not in (None, id_):
            problems["refcode"] = [f"'{refcode}' is already used"]

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

    def _save(self, table: Table, row: Row | None, stored: Row, user: int, through: str, at: int | None = None) -> Row:
        """Stores a row and returns it; `at` backdates it."""
        if row is None:
            id_ = table.next_id
            row = {
                "id": id_,
                "lock_version": -1,
                "object_ref": f"{table.type.reference_prefix}-{id_}",
                "created_at": int(self._now().timestamp()),
                "created_by": user,
                "owner_id": user,
                "is_deleted": False,
                "created_through": through,
                "type": table.type.class_name,
            }
        saved = {**row, **stored, **self._stamp(row, user)}
        if not saved.get("refcode"):
            saved["refcode"] = table.new_refcode(str(saved.get("name") or ""))
        if at is not None:
            saved["updated_at"] = at
        table.put(saved)
        return saved

    def _stamp(self, row: Row, user: int) -> Row:
        return {"lock_version": row["lock_version"] + 1, "updated_at": int(self._now().timestamp()), "updated_by": user}

    def _all_refused(self, checked: list[tuple[Row, dict[str, list[str]], str]], template: str) -> Response:
        failures = [whole for _, _, whole in checked if whole]
        if failures:
            return reply(200, {"success": False, "failures": failures}, template)
        body = {
            "success": False,
            "affected_object_errors": [problems for _, problems, _ in checked],
            "errors": {"[]": {name: texts[0] for _, problems, _ in checked for name, texts in problems.items()}},
        }
        return reply(200, body, template)


def _in_form(epoch: int, form: str) -> str:
    """Returns an instant in a strftime form, `%s` the epoch. Raises BadFilter for a form that cannot be."""
    try:
        return datetime.fromtimestamp(epoch, UTC).strftime(form.replace("%s", str(epoch)))
    except (ValueError, UnicodeError):
        raise BadFilter("_json_output_datetime_format cannot be used") from None


def _rows(rows: list[dict[str, Any]], template: str) -> Response:
    """Returns the reply of a short list."""
    return reply(200, {"data": rows, "total": len(rows), "success": True, "flash": "", "updates": {}}, template)
