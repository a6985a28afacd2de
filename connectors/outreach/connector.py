"""Outreach as a `Connector`: look-ups fifty values a call, writes one a call and several at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from connectors.checks import Try, run_checks
from connectors.contract import (
    CallCount,
    Check,
    Condition,
    Hook,
    Identity,
    Op,
    Page,
    Position,
    Record,
    Ref,
    Schema,
    Spread,
    Test,
    Write,
    WriteResult,
    one_by_one,
)
from connectors.errors import (
    ConnectionTrouble,
    ConnectorError,
    MappingError,
    NeedsAttention,
    OutcomeUnknown,
    RecordError,
    RecordGone,
    Rejected,
    ServerTrouble,
)
from connectors.http import Answer, HttpClient, unreadable
from connectors.oauth import TokenSource
from connectors.outreach.client import OutreachClient
from connectors.outreach.codec import COLLECTIONS, SYSTEM, read_record, write_document, write_instant
from connectors.outreach.hooks import drop_hook, list_hooks, make_hook
from connectors.outreach.query import IDS_A_CALL, VALUES_A_CALL, Pairs, chunks, condition_pairs, sparse
from connectors.outreach.schema import built_in, with_labels
from connectors.outreach.scopes import SCOPES, Scope, is_granted
from connectors.text import clean

PAGE, LEAST_PAGE = 1000, 50
LOOKED_AT = 100  # accounts, the latest first, in which another engine's keys are looked for
OWN_SOURCES = ("", "outreach-api")  # what accounts made by hand or through the API say
SEARCHABLE = ("id", "name", "customId", "domain")  # texts of an account that filters know (reference section 4)


MISSING_SCOPE = "unauthorizedOauthScope"
TWO_ENGINES = "Two engines on one pair of systems take each other's records for duplicates."
LOOK_FOR_PLUGIN = (
    "Ask an Outreach administrator to look under Settings, Plugins, and to switch the other one off for accounts before the pass is "
    "switched on."
)


class OutreachConnector:
    """Outreach with OAuth tokens. `page_address_template` holds `{id}`; `marker_attribute` takes our key on create."""

    system = SYSTEM

    def __init__(
        self,
        http: HttpClient,
        tokens: TokenSource,
        *,
        page_address_template: str = "",
        settle_seconds: int = 120,
        concurrency: int = 8,
        marker_attribute: str = "customId",
        granted_scope: str = "",
        spread: Spread = one_by_one,
    ) -> None:
        self._http = http
        self._tokens = tokens
        tokens.hide_from(http)
        self._granted = granted_scope
        self._client = OutreachClient(http, tokens)
        self._template = page_address_template
        self.marker_field = marker_attribute
        self._page = PAGE
        self._spread = spread
        self.settle_seconds = settle_seconds
        self.concurrency = concurrency
        self.request_timeout = http.timeout

    def changes(
        self,
        object_type: str,
        *,
        where: Condition,
        columns: Sequence[str],
        position: Position | None = None,
        before: datetime | None = None,
        page_size: int = 100,
        include_deleted_since: datetime | None = None,
    ) -> Page:
        """As the contract says; deleted records leave no trace in Outreach, so none are returned. Pages go on by
        value, from `position.updated_at` inclusive without the ids up to it; where one instant holds more rows than a
        page, the system's own cursor leads through it."""
        params: Pairs = [("newFilterSyntax", "true"), ("count", "false"), ("sort", "updatedAt"), *_within(where, position, before)]
        records: list[Record] = []
        following: str | None = None
        for answer in self._walk(object_type, [*params, *sparse(object_type, columns)], most=page_size):
            records += self._records(answer, object_type)
            following = _next_link(answer)
            if not records or records[0].updated_at != records[-1].updated_at:
                break
        if any(record.updated_at is None for record in records):  # it has no place in the order, and none can follow it
            raise unreadable(SYSTEM, answer, is_read=True)
        if answer.server_time is None:
            raise unreadable(SYSTEM, answer, is_read=True)
        fresh = sorted((r for r in records if position is None or _key(r) > (position.updated_at, int(position.id))), key=_key)
        if before is not None:
            fresh = [r for r in fresh if r.updated_at is not None and r.updated_at < before]
        return Page(tuple(fresh), self._next(fresh, has_more=following is not None), answer.server_time)

    @staticmethod
    def _next(fresh: list[Record], *, has_more: bool) -> Position | None:
        """Returns where the next page starts. Rows of the last instant may be cut off: the next page reads it again."""
        if not has_more or not fresh or fresh[-1].updated_at is None:
            return None
        last = fresh[-1].updated_at
        before_last = [r for r in fresh if r.updated_at != last]
        return Position(before_last[-1].updated_at or last, before_last[-1].ref.id) if before_last else Position(last, fresh[-1].ref.id)

    def scan(self, object_type: str, *, where: Condition, columns: Sequence[str]) -> Iterator[Page]:
        params: Pairs = [("newFilterSyntax", "true"), ("count", "false"), ("sort", "updatedAt")]
        for answer in self._walk(object_type, [*params, *condition_pairs(where), *sparse(object_type, columns)]):
            if answer.server_time is None:
                raise unreadable(SYSTEM, answer, is_read=True)
            yield Page(tuple(self._records(answer, object_type)), None, answer.server_time)

    def _walk(self, object_type: str, params: Pairs, *, most: int = PAGE) -> Iterator[Answer]:
        """Yields the pages of a query, following `links.next` on the same host. Fat pages fail at the gateway with 502:
        the page is halved then at once, down to LEAST_PAGE, and stays so for this connector."""
        path, template = self._collection(object_type)
        following: str | None = ""
        while following is not None:
            size = min(most, self._page)
            link, sized = (_resized(following, size), []) if following else (path, [*params, ("page[size]", str(size))])
            try:
                answer = self._client.get(link, sized, template=template, unrepeated=(502,) if size > LEAST_PAGE else ())
            except ServerTrouble as error:
                if error.status != 502 or size <= LEAST_PAGE:
                    raise
                self._page = max(LEAST_PAGE, size // 2)
                continue
            except Rejected as error:
                if not following:
                    raise
                sentence = f"did not accept its own link to the next page ({error.detail})"
                raise OutcomeUnknown(sentence, system=SYSTEM, status=error.status, exchange=error.exchange) from error
            yield answer
            following = _next_link(answer)

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        def ask(part: list[str]) -> list[Record]:
            return list(self._all(object_type, [("filter[id]", ",".join(part))], columns))

        parts = list(chunks(list(dict.fromkeys(ids)), most=IDS_A_CALL, overhead=3))
        return [record for records in self._spread(ask, parts) for record in records]

    def find(
        self, object_type: str, field: str, values: Sequence[str], columns: Sequence[str], *, also: Condition | None = None
    ) -> list[Record]:
        more = condition_pairs(also) if also is not None else []
        name = field.replace(".", "][")  # "account.id" asks by relationship

        def ask(part: list[str]) -> list[Record]:
            pairs: Pairs = [("newFilterSyntax", "true"), *((f"filter[{name}][]", value) for value in part), *more]
            return list(self._all(object_type, pairs, [*columns, field.partition(".")[0]]))

        parts = list(chunks(list(dict.fromkeys(values)), most=VALUES_A_CALL, overhead=len(field) + 16))
        return list({r.ref.id: r for records in self._spread(ask, parts) for r in records}.values())

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        if self.marker_field in SEARCHABLE:
            return self.find(object_type, self.marker_field, markers, columns)
        pages = self.scan(object_type, where=Test("createdAt", Op.GE, since), columns=[*columns, self.marker_field])
        return [r for page in pages for r in page.records if r.fields.get(self.marker_field) in markers]

    def _all(self, object_type: str, pairs: Pairs, columns: Sequence[str]) -> Iterator[Record]:
        """Yields every record of a query."""
        for answer in self._walk(object_type, [*pairs, ("count", "false"), *sparse(object_type, columns)]):
            yield from self._records(answer, object_type)

    def _collection(self, object_type: str) -> tuple[str, str]:
        path = f"/api/v2/{COLLECTIONS[object_type]}"
        return path, path

    def _records(self, answer: Answer, object_type: str) -> list[Record]:
        rows = answer.data.get("data")
        if not isinstance(rows, list):
            raise unreadable(SYSTEM, answer, is_read=True)
        records = [read_record(row, object_type) for row in rows]
        if any(record is None for record in records):
            raise unreadable(SYSTEM, answer, is_read=True)
        return [record for record in records if record is not None]

    def count(self, object_type: str, where: Condition, *, position: Position | None = None, before: datetime | None = None) -> int:
        path, template = self._collection(object_type)
        pairs: Pairs = [("newFilterSyntax", "true"), *_within(where, position, before), ("page[size]", "1"), ("count", "true")]
        meta = self._client.get(path, pairs, template=template).data.get("meta")
        total = meta.get("count") if isinstance(meta, dict) else None
        return total if isinstance(total, int) else 0

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return 1

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        return [self._write_one(object_type, write) for write in writes]

    def _write_one(self, object_type: str, write: Write) -> WriteResult:
        """Returns what became of one write. Raises ConnectionTrouble; a record's own refusal is in the result."""
        path, template = self._collection(object_type)
        try:
            if write.ref is None:
                fields = {**write.fields, **({self.marker_field: write.marker} if write.marker else {})}
                answer = self._client.send("POST", path, write_document(object_type, fields), template=template)
            else:
                path, template = f"{path}/{write.ref.id}", f"{template}/{{id}}"
                if write.is_delete:
                    answer = self._client.send("DELETE", path, None, template=template)
                    return WriteResult(write.key, record=Record(write.ref, {}, is_deleted=True), exchange=answer.exchange)
                document = write_document(object_type, write.fields, id_=write.ref.id)
                answer = self._client.send("PATCH", path, document, template=template)
        except ConnectionTrouble:
            raise
        except ConnectorError as error:
            return WriteResult(write.key, error=error, exchange=error.exchange)
        record = read_record(answer.data["data"], object_type)
        if record is None or (write.ref is not None and record.ref.id != write.ref.id):
            raise unreadable(SYSTEM, answer, is_read=False)
        return WriteResult(write.key, record=record, exchange=answer.exchange)

    def schema(self, object_type: str) -> Schema:
        schema = built_in(object_type)
        try:
            types = self._client.get("/api/v2/types", template="/api/v2/types").data.get("data")
        except (RecordError, NeedsAttention) as error:
            if error.status != 403 and isinstance(error, NeedsAttention):
                raise
            return schema  # the labels are a courtesy; an organisation without the right to them still maps fields
        return with_labels(schema, types)

    def check(self, *, may_send: bool = True) -> list[Check]:
        return run_checks(self._try(scope, may_send) for scope in SCOPES)

    def _try(self, scope: Scope, may_send: bool) -> Try:
        collection, right = scope.name.split(".")
        good = f"Our token may {'keep' if right == 'all' else right} {collection}."
        if right == "write" and not may_send:
            untried = Check(scope.title, True, "Not tried: all writes are stopped.", is_warning=True)
            return Try(scope.title, good, lambda: untried, partial(_who_gives, scope))
        return Try(scope.title, good, partial(self._prove, scope, collection, right), partial(_who_gives, scope))

    def _prove(self, scope: Scope, collection: str, right: str) -> Check | None:
        """Proves one right, without changing anything. Raises what Outreach says where it is missing; a right that we can
        do without is a warning."""
        path, template = f"/api/v2/{collection}", f"/api/v2/{collection}"
        try:
            if self._granted and not is_granted(scope.name, self._granted):
                raise NeedsAttention(f"our access lacks the scope {scope.name}", system=SYSTEM, status=403, code=MISSING_SCOPE)
            if right in ("read", "all"):
                self._client.get(path, [("page[size]", "1"), ("count", "false")], template=template)
            elif right == "write":
                self._prove_write(path, template, collection[:-1])
        except (NeedsAttention, Rejected) as error:
            if not scope.is_optional or error.status != 403:
                raise
            return Check(scope.title, True, f"Not granted; it is needed {scope.purpose}.", _who_gives(scope, error), is_warning=True)
        return None

    def _prove_write(self, path: str, template: str, type_: str) -> None:
        """Sends a change, without a field, of record 0, which no organisation has: whoever may write is told that it is
        not there. The one call of a writing method outside the executor: it can change nothing."""
        document = {"data": {"type": type_, "id": 0, "attributes": {}}}
        try:
            self._client.send("PATCH", f"{path}/0", document, template=f"{template}/{{id}}")
        except RecordGone:
            return
        except (Rejected, MappingError) as error:
            if error.status == 403:
                raise

    def hooks(self, url: str) -> list[Hook]:
        return list_hooks(self._client, url)

    def make_hook(self, object_type: str, url: str, secret: str) -> Hook:
        return make_hook(self._client, object_type, url, secret)

    def drop_hook(self, id_: str) -> None:
        drop_hook(self._client, id_)

    def keep_alive(self) -> None:
        self._tokens.keep_alive()

    def identity(self) -> Identity:
        answer = self._client.get("/api/v2", template="/api/v2")
        data = answer.data.get("data")
        said = data.get("attributes") if isinstance(data, dict) else None
        texts = {k: clean(v)[0] for k, v in said.items() if isinstance(v, str)} if isinstance(said, dict) else {}
        user = texts.get("username") or texts.get("user") or texts.get("email") or ""
        return Identity(user[:100], (texts.get("organisation") or texts.get("organization") or texts.get("orgName") or "")[:100])

    def rivals(self, own_prefix: str) -> list[Check]:
        """Looks at the keys of the accounts changed last: a CRM plugin leaves a `defaultPluginMapping`, other engines a
        `customId` or `externalSource` of their own."""
        name = "Other engines on these accounts"
        columns = ["name", self.marker_field, "externalSource", "defaultPluginMapping"]
        pairs: Pairs = [("sort", "-updatedAt"), ("count", "false"), ("page[size]", str(LOOKED_AT)), *sparse("account", columns)]
        path, template = self._collection("account")
        try:
            rows = self._records(self._client.get(path, pairs, template=template), "account")
        except ConnectorError as error:
            return [Check(name, True, f"Could not be looked at: {error.sentence}.", LOOK_FOR_PLUGIN, is_warning=True)]
        if not rows:
            return [Check(name, True, "There are no accounts yet.")]
        plugin = [r for r in rows if r.fields.get("defaultPluginMapping")]
        foreign = [r for r in rows if _is_foreign(r, self.marker_field, own_prefix) and r not in plugin]
        lines = []
        if plugin:
            said = f"{len(plugin)} of the {len(rows)} accounts changed last are linked by a CRM plugin, “{_name(plugin)}” among them."
            lines.append(Check(name, True, f"{said} {TWO_ENGINES}", LOOK_FOR_PLUGIN, is_warning=True))
        if foreign:
            said = f"{len(foreign)} of the {len(rows)} accounts changed last carry another program's key, “{_name(foreign)}” among them."
            lines.append(Check(name, True, f"{said} {TWO_ENGINES}", LOOK_FOR_PLUGIN, is_warning=True))
        return lines or [Check(name, True, f"None of the {len(rows)} accounts changed last carries another program's key.")]

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{id}", ref.id)

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()
        self._tokens.close()


def _who_gives(scope: Scope, error: ConnectorError) -> str:
    """Returns what to do about a missing right, and who can do it."""
    if not isinstance(error, NeedsAttention | Rejected):
        return ""
    if error.status == 403 and error.code == MISSING_SCOPE:
        return (
            f"Ask whoever registered our app with Outreach to tick the scope {scope.name} ({scope.purpose}), then press Reconnect: "
            "a token keeps the scopes it was made with."
        )
    if error.status == 403:
        return (
            f"Ask an Outreach administrator to let the user who connected {scope.title.lower()} (Settings, Governance profiles), "
            "then test again."
        )
    return "Press Reconnect." if error.status in (400, 401) else ""


def _is_foreign(account: Record, marker_field: str, own_prefix: str) -> bool:
    key, source = str(account.fields.get(marker_field) or ""), str(account.fields.get("externalSource") or "")
    return bool(key and not (own_prefix and key.startswith(own_prefix))) or source not in OWN_SOURCES


def _name(accounts: Sequence[Record]) -> str:
    return str(accounts[0].fields.get("name") or accounts[0].ref.id)[:80]


def _key(record: Record) -> tuple[Any, int]:
    return (record.updated_at, int(record.ref.id))


def _within(where: Condition, position: Position | None, before: datetime | None) -> Pairs:
    """Returns the filters of a sweep: `where`, from `position` on, up to `before`. The position takes the place of an
    earlier start that `where` names: a filter counts once."""
    pairs = condition_pairs(where)
    since = "filter[updatedAt][gte]"
    if position is not None:
        pairs = [pair for pair in pairs if pair[0] != since] + [(since, write_instant(position.updated_at))]
    return pairs + ([("filter[updatedAt][lte]", write_instant(before))] if before is not None else [])


def _next_link(answer: Answer) -> str | None:
    links = answer.data.get("links")
    following = links.get("next") if isinstance(links, dict) else None
    return str(following) if following else None


def _resized(link: str, size: int) -> str:
    """Returns a next link with the present page size: it carries the one it was made with."""
    return re.sub(r"(page(?:%5B|\[)size(?:%5D|\])=)(\d+)", lambda m: f"{m[1]}{min(size, int(m[2]))}", link)
