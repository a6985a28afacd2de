"""Salesforce as a `Connector`: sweeps by (SystemModstamp, Id), look-ups two hundred values a call, writes in collections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from connectors.contract import (
    MINE,
    All,
    CallCount,
    Check,
    Condition,
    Feed,
    Identity,
    Op,
    Page,
    Position,
    Record,
    RecordAccess,
    Ref,
    SavedView,
    Schema,
    Spread,
    Survivor,
    Test,
    ViewTerms,
    Write,
    WriteResult,
    one_by_one,
)
from connectors.errors import ConnectorError, OutcomeUnknown, Rejected
from connectors.http import HttpClient, unreadable
from connectors.oauth import TokenSource
from connectors.salesforce import accounts, query, record_access, rivals, survivors, view_terms
from connectors.salesforce.client import Rows, SalesforceClient
from connectors.salesforce.codec import (
    NO_RECYCLE_BIN,
    STANDARD,
    SYSTEM,
    Kinds,
    always,
    given_id,
    read_record,
    read_ref,
    unknown_among,
)
from connectors.salesforce.emails import EMAIL, MESSAGE_ID, STATUS, EmailWriter
from connectors.salesforce.faults import LOCATOR_GONE
from connectors.salesforce.log import ReplicationLog
from connectors.salesforce.our_fields import OurFields
from connectors.salesforce.rights import Rights, key_lines
from connectors.salesforce.schema import kinds_of, read_schema
from connectors.salesforce.settings import SalesforceSettings
from connectors.salesforce.views import ListViews
from connectors.salesforce.writer import REQUIRED, Writer
from connectors.text import clean

PAGE = 2000  # rows that one answer holds at most
VIEW_TRIES = 3
_IDENTITY = re.compile(r"/id/(\w{15,18})/(\w{15,18})$")


class SalesforceConnector:
    """Salesforce with OAuth tokens. `page_address_template` holds `{id}` and perhaps `{object}`. `schemas` are descriptions
    that somebody kept; a field whose type they do not tell costs one describe."""

    system = SYSTEM

    def __init__(
        self,
        http: HttpClient,
        tokens: TokenSource,
        *,
        settings: SalesforceSettings | None = None,
        page_address_template: str = "",
        settle_seconds: int = 0,
        granted_scope: str = "",
        schemas: Mapping[str, Schema] | None = None,
        may_reach: Callable[[str], bool] = lambda host: True,
        spread: Spread = one_by_one,
    ) -> None:
        self._http = http
        self._tokens = tokens
        tokens.hide_from(http)
        self._settings = settings or SalesforceSettings()
        self._client = SalesforceClient(http, tokens, self._settings, may_reach)
        self._rights = Rights(self._client, self._settings, granted_scope, reconnects=tokens.reconnects)
        self._ours = OurFields(self._settings.calendar_object)
        self._writer = Writer(http, self._client, self._settings, self._read_back, self._read_row, self._required, self._ours)
        self._emails = EmailWriter(self._client, self._settings, self._emails_with)
        self._log = ReplicationLog(self._client)
        self._views = ListViews(self._client)
        known = schemas or {}
        self._kinds_of = {object_type: kinds_of(schema) for object_type, schema in known.items()}
        self._known_required = {t: frozenset(a.name for a in schema.attributes.values() if a.is_required) for t, schema in known.items()}
        self._described: set[str] = set()
        self._keyless: set[str] = set()  # object types whose key field a test did not find
        self._template = page_address_template
        self._own_id = ""
        self._spread = spread
        self.settle_seconds = settle_seconds
        self.concurrency = self._settings.concurrency
        self.request_timeout = http.timeout
        self.marker_field = self._settings.external_id_field

    # --- reading ------------------------------------------------------------------------------------------------------

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
        """As the contract says. One row more than the page is asked for: it tells whether there is another page, and saves
        the call that would find none."""
        size = min(page_size, PAGE)
        condition = query.sweep(object_type, where, position, before, include_deleted_since)
        names = self._columns(object_type, columns)
        soql = query.select(object_type, names, condition, order="SystemModstamp, Id", limit=size + 1)
        rows = self._client.query(soql, is_all=object_type not in NO_RECYCLE_BIN)
        records = self._records(rows, object_type, names)[:size]
        if not rows.following and len(rows.rows) <= size:
            return Page(tuple(records), None, rows.server_time)
        last = records[-1]
        if last.updated_at is None:  # nothing can go on from here, and the sweep is not at its end (I10)
            raise unreadable(SYSTEM, rows.answer, is_read=True)
        following = Position(last.updated_at, last.ref.id)
        if position is not None and (following == position or following.updated_at < position.updated_at):
            raise unreadable(SYSTEM, rows.answer, is_read=True)  # the same page over and over
        return Page(tuple(records), following, rows.server_time)

    def scan(self, object_type: str, *, where: Condition, columns: Sequence[str]) -> Iterator[Page]:
        names = self._columns(object_type, columns)
        for rows, records in self._walk(object_type, where, names):
            yield Page(tuple(records), None, rows.server_time)

    def _walk(
        self, object_type: str, condition: Condition, names: Sequence[str], *, is_all: bool = False, within: str = ""
    ) -> Iterator[tuple[Rows, list[Record]]]:
        """Yields the pages of a query in the order of ids. One that Salesforce no longer keeps goes on from its last row.
        `within` is a further condition, in SOQL already."""
        last = ""
        while True:
            behind = All((condition, Test("Id", Op.GT, last))) if last else condition
            rows = self._client.query(query.select(object_type, names, behind, order="Id", within=within), is_all=is_all)
            while True:
                records = self._records(rows, object_type, names)
                yield rows, records
                if not rows.following:
                    return
                last = records[-1].ref.id
                try:
                    rows = self._client.follow(rows.following)
                except Rejected as error:
                    if error.code != LOCATOR_GONE:
                        raise
                    break

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        return self.find(object_type, "Id", ids, columns)

    def find(
        self, object_type: str, field: str, values: Sequence[str], columns: Sequence[str], *, also: Condition | None = None
    ) -> list[Record]:
        """As the contract says. Salesforce compares texts without regard to case, so more than asked for may come back;
        converted leads are among the leads. A value that no record can have is not asked for."""
        names = self._columns(object_type, [*columns, field])
        return self._found(object_type, field, values, names, also=also)

    def _found(
        self,
        object_type: str,
        field: str,
        values: Sequence[str],
        names: Sequence[str],
        *,
        also: Condition | None = None,
        is_all: bool = False,
    ) -> list[Record]:
        def ask(part: list[str]) -> list[Record]:
            condition: Condition = Test(field, Op.IN, tuple(part))
            if also is not None:
                condition = All((condition, also))
            return [record for _, records in self._walk(object_type, condition, names, is_all=is_all) for record in records]

        parts = list(query.chunks(query.askable(field, values), self._settings.lookup_size))
        return list({record.ref.id: record for records in self._spread(ask, parts) for record in records}.values())

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        """As the contract says; nothing where the object type has no field for markers: ask `made_by_us` there. What was made
        and deleted or merged since is among them: it was made all the same."""
        field = self._settings.marker_field(object_type)
        names = self._columns(object_type, [*columns, field]) if field else []
        found = self._found(object_type, field, markers, names, is_all=True) if field else []
        return [record for record in found if record.fields.get(field) in markers]

    def marker_field_of(self, object_type: str) -> str:
        """Returns the field that takes our key on creates of this object type, "" where there is none."""
        return self._settings.marker_field(object_type)

    @property
    def own_user_id(self) -> str:
        """How `Record.updated_by` names us; asked for once."""
        if not self._own_id:
            self._own_id = self._ids()[1]
        return self._own_id

    def made_by_us(self, object_type: str, columns: Sequence[str], *, since: datetime) -> list[Record]:
        _, user_id = self._ids()
        ours = All((Test("CreatedById", Op.EQ, user_id), Test("CreatedDate", Op.GE, since)))
        names = self._columns(object_type, [*columns, "CreatedDate"])
        return [record for _, records in self._walk(object_type, ours, names) for record in records]

    def count(self, object_type: str, where: Condition, *, position: Position | None = None, before: datetime | None = None) -> int:
        condition = query.sweep(object_type, where, position, before, None)
        return self._client.query(query.count(object_type, condition), is_all=object_type not in NO_RECYCLE_BIN).total

    def _columns(self, object_type: str, columns: Sequence[str]) -> list[str]:
        """Returns what is asked for, and learns how to read it where that is not known yet."""
        names = list(dict.fromkeys([*always(object_type), *self._ours.real_columns(object_type, columns)]))
        unknown = unknown_among(names, self._kinds(object_type))
        if set(unknown) - {self.marker_field} and object_type not in self._described:  # the marker is text
            self.schema(object_type)
        return names

    def _kinds(self, object_type: str) -> Kinds:
        return self._kinds_of.get(object_type, STANDARD)

    def _records(self, rows: Rows, object_type: str, names: Sequence[str]) -> list[Record]:
        """Returns the records of a page. A row that cannot be read must not end a sweep before its end."""
        kinds = self._kinds(object_type)
        records = [read_record(row, object_type, names, kinds) for row in rows.rows]
        if any(record is None for record in records):
            raise unreadable(SYSTEM, rows.answer, is_read=True)
        return [self._ours.with_ours(record) for record in records if record is not None]

    # --- writing ------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return self._settings.create_size if is_create else self._settings.update_size

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """As the contract says. A create that carries a marker meets the record of that marker where there is one. What was
        written is read back; a record without fields was written, and could not be read. E-mails are not: they do not change."""
        if object_type == EMAIL and not any(write.is_delete for write in writes):
            return self._emails.write(writes)
        return self._writer.write(object_type, writes)

    # --- e-mails ------------------------------------------------------------------------------------------------------

    def emails_with(self, message_ids: Sequence[str]) -> list[Record]:
        """Returns the e-mails that bear these Message-IDs, deleted ones among them; `Status` says whether one is a draft still
        (`is_draft`). Texts are compared without regard to case, so more than asked for may come back."""
        return self._emails_with(MESSAGE_ID, message_ids)

    def _emails_with(self, field: str, values: Sequence[str]) -> list[Record]:
        return self._found(EMAIL, field, values, self._columns(EMAIL, [STATUS, MESSAGE_ID, field]), is_all=True)

    def use_email_key(self, has_key: bool) -> None:
        """Says whether e-mails have the field that takes our key: not every organisation gives them one."""
        self._emails.has_key = has_key

    def is_draft(self, email: Record) -> bool:
        return email.fields.get(STATUS) == self._settings.email_draft_status

    def email_status(self, *, is_outgoing: bool) -> str:
        """Returns the status that an e-mail is closed with."""
        return self._settings.email_sent_status if is_outgoing else self._settings.email_received_status

    def _read_back(self, object_type: str, ids: Sequence[str], names: Sequence[str]) -> list[Record]:
        return self._found(object_type, "Id", ids, self._columns(object_type, names))

    def _read_row(self, row: Any, object_type: str) -> Record | None:
        record = read_record(row, object_type, (), self._kinds(object_type))
        return self._ours.with_ours(record) if record is not None else None

    def _required(self, object_type: str) -> frozenset[str]:
        """Returns the fields that were known to be required when the connector was opened: what became so since is news."""
        return frozenset(REQUIRED.get(object_type, ())) | self._known_required.get(object_type, frozenset())

    # --- records that took the place of others ------------------------------------------------------------------------

    def survivors(self, object_type: str, ids: Sequence[str]) -> dict[str, Survivor]:
        def find(kind: str, some: list[str]) -> list[Record]:
            return self._found(kind, "Id", some, always(kind), is_all=True)

        return survivors.survivors(find, object_type, ids)

    def deleted(self, object_type: str, start: datetime, end: datetime) -> Feed:
        return self._log.deleted(object_type, start, end)

    def updated(self, object_type: str, start: datetime, end: datetime) -> Feed:
        return self._log.updated(object_type, start, end)

    # --- list views ---------------------------------------------------------------------------------------------------

    def views(self, object_type: str) -> list[SavedView]:
        return self._views.all(object_type)

    def ids_in_view(self, object_type: str, view_id: str, *, most: int | None = None) -> list[str]:
        """As the contract says, by the view's own query. One that Salesforce no longer keeps half-way is asked anew."""
        soql = self._views.query_of(object_type, view_id)
        for _ in range(VIEW_TRIES):
            try:
                return self._ids_of(soql, object_type, most)
            except Rejected as error:
                if error.code != LOCATOR_GONE:
                    raise
        raise OutcomeUnknown("lost its place in a list view again and again", system=SYSTEM)

    def _ids_of(self, soql: str, object_type: str, most: int | None) -> list[str]:
        rows = self._client.query(soql)
        found: dict[str, None] = {}
        while True:
            refs = [read_ref(row.get("Id") if isinstance(row, Mapping) else None, object_type) for row in rows.rows]
            if None in refs:
                raise unreadable(SYSTEM, rows.answer, is_read=True)
            found |= dict.fromkeys(ref.id for ref in refs if ref is not None)
            if not rows.following or (most is not None and len(found) > most):
                return list(found)
            rows = self._client.follow(rows.following)

    def view_terms(self, object_type: str, view_id: str) -> ViewTerms:
        return self._views.terms_of(object_type, view_id)

    def members(
        self, object_type: str, terms: ViewTerms, *, owners: Sequence[str] | None, ids: Sequence[str] | None, columns: Sequence[str]
    ) -> Iterator[Page]:
        """As the contract says; the owner is in OwnerId. Days such as TODAY in a view's condition are those of our user's zone."""
        within = view_terms.bracketed(terms, object_type)
        names = self._columns(object_type, [*columns, *(["OwnerId"] if terms.scope == MINE else [])])
        conditions = view_terms.parts(terms, owners=owners, ids=ids, taken=len(query.select(object_type, names)))
        return self._members(object_type, list(conditions), names, within)

    def count_members(self, object_type: str, terms: ViewTerms, *, owners: Sequence[str] | None) -> int:
        """As the contract says: one call for as many owners as a statement holds."""
        within = view_terms.bracketed(terms, object_type)
        conditions = view_terms.parts(terms, owners=owners, ids=None, taken=0)
        return sum(self._client.query(query.count(object_type, condition, within=within)).total for condition in conditions)

    def _members(self, object_type: str, conditions: Sequence[Condition], names: Sequence[str], within: str) -> Iterator[Page]:
        for condition in conditions:
            for rows, records in self._walk(object_type, condition, names, within=within):
                yield Page(tuple(records), None, rows.server_time)

    def may_change(self, user_id: str, ids: Sequence[str]) -> dict[str, RecordAccess]:
        return record_access.may_change(self._client, self._spread, user_id, ids)

    # --- companies ----------------------------------------------------------------------------------------------------

    def accounts_named(self, names: Sequence[str]) -> dict[str, list[Record]]:
        columns = self._columns(accounts.ACCOUNT, [accounts.NAME, accounts.CREATED])
        return accounts.named(names, self._found(accounts.ACCOUNT, accounts.NAME, accounts.askable(names), columns))

    def accounts_containing(self, names: Sequence[str], *, most: int = 2) -> dict[str, list[Record]]:
        """As the contract says, without regard to case; several names a call."""
        columns = self._columns(accounts.ACCOUNT, [accounts.NAME, accounts.CREATED])

        def ask(part: list[str]) -> list[tuple[str, list[Record]]]:
            pages = self._client.queries([accounts.containing(name, columns, most) for name in part])
            return [(name, self._first(rows, accounts.ACCOUNT, columns, most)) for name, rows in zip(part, pages, strict=True)]

        asked = list(query.chunks(accounts.askable(names), self._settings.queries_at_once)) if most > 0 else []
        found = dict(pair for pairs in self._spread(ask, asked) for pair in pairs)
        return {name: list(found.get(name.strip(), ())) for name in names}

    def accounts_at(self, domains: Sequence[str]) -> list[Record]:
        """As the contract says; the domains are such as names of hosts are written."""
        columns = self._columns(accounts.ACCOUNT, [accounts.NAME, accounts.SITE, accounts.PARENT])
        parts = list(query.chunks(query.askable(accounts.SITE, domains), accounts.SITES_A_QUERY))

        def ask(part: list[str]) -> list[Record]:
            within = accounts.at_sites(part)
            return [record for _, records in self._walk(accounts.ACCOUNT, All(()), columns, within=within) for record in records]

        return list({record.ref.id: record for records in self._spread(ask, parts) for record in records}.values())

    def _first(self, rows: Rows, object_type: str, columns: Sequence[str], most: int) -> list[Record]:
        records = self._records(rows, object_type, columns)
        while rows.following and len(records) < most:
            rows = self._client.follow(rows.following)
            records += self._records(rows, object_type, columns)
        return records[:most]

    # --- what it is, and who we are -----------------------------------------------------------------------------------

    def schema(self, object_type: str) -> Schema:
        path = f"{self._client.root}/sobjects/{query.name(object_type)}/describe"
        schema = self._ours.with_our_attributes(
            read_schema(object_type, self._client.get_object(path, template="/sobjects/{object}/describe"))
        )
        self._kinds_of[object_type] = kinds_of(schema)
        self._described.add(object_type)
        return schema

    def check(self, *, may_send: bool = True) -> list[Check]:
        """As the contract says; the description of each object tells our rights, so nothing is ever sent."""
        lines = self._rights.lines()
        self._keyless = {object_type for object_type, line in key_lines(lines).items() if line.is_warning}
        return lines

    def rivals(self, own_prefix: str) -> list[Check]:
        return [line for object_type in rivals.IN for line in self._rivals_among(object_type, own_prefix)]

    def _rivals_among(self, object_type: str, own_prefix: str) -> list[Check]:
        noun = f"{object_type.lower()}s"
        name = f"Other engines on these {noun}"
        field = "" if object_type in self._keyless else self._settings.marker_field(object_type)
        columns = [*always(object_type), "LastModifiedBy.Name", *([field] if field else [])]
        soql = query.select(object_type, columns, order="SystemModstamp DESC", limit=rivals.LOOKED_AT)
        try:
            _, user_id = self._ids()
            records = self._records(self._client.query(soql), object_type, columns)
        except ConnectorError as error:
            return [Check(name, True, f"Could not be looked at: {error.sentence}.", rivals.LOOK_FOR_PLUGIN, is_warning=True)]
        return rivals.lines(records, name, noun, user_id=user_id, field=field, own_prefix=own_prefix)

    def keep_alive(self) -> None:
        self._tokens.keep_alive()

    def identity(self) -> Identity:
        """As the contract says. The organisation is called by its own address: its name is nothing our user must see."""
        organisation_id, user_id = self._ids()
        users = self.read("User", [user_id], ["Username"])
        name = str(users[0].fields.get("Username") or "") if users else ""
        return Identity(clean(name)[0][:100], (urlsplit(self._http.base_url).hostname or "")[:100], organisation_id, user_id)

    def _ids(self) -> tuple[str, str]:
        """Returns the ids of the organisation and of our user: as the token came with them, else as the interface says."""
        said = self._tokens.held.identity
        if not _IDENTITY.search(said):
            said = str(self._client.get_object(self._client.root, template="/").get("identity") or "")
        found = _IDENTITY.search(said)
        ids = [given_id(found[1]), given_id(found[2])] if found else ["", ""]
        if not all(ids):
            raise OutcomeUnknown("did not say whom it takes us for", system=SYSTEM)
        return ids[0], ids[1]

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{object}", ref.object_type).replace("{id}", ref.id)

    def counts(self) -> CallCount:
        return self._http.counts

    def close(self) -> None:
        self._http.close()
        self._tokens.close()
