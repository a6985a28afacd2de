"""Pages of the sandbox for people: each system's records in a table, one record in full, a field to edit, the calls."""

from __future__ import annotations

import html
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from connectors.sandbox.wire import Request, Response, read_id
from connectors.sandbox.world import PORTS, World

ROWS_A_PAGE = 50
SAVED = "saved=1"  # the query after a save
NEW = "new"
TITLES = {"workbooks": "Workbooks", "outreach": "Outreach", "salesforce": "Salesforce", "microsoft": "Microsoft", "google": "Google",
          "exchange": "Exchange"}  # fmt: skip
COLUMNS = {
    "organisations": ("id", "name", "assigned_to_name", "cf_organisation_sync_to_outreach", "cf_organisation_outreach_duplicate",
                      "cf_organisation_outreach_sync_error", "cf_organisation_outreach_id", "updated_at"),
    "people": ("id", "name", "employer[name]", "main_location[email]", "cf_person_outreach_id", "updated_at"),
    "accounts": ("id", "name", "domain", "industry", "owner", "customId", "updatedAt"),
    "prospects": ("id", "firstName", "lastName", "emails", "account", "updatedAt"),
    "users": ("id", "username", "email", "locked"),
    "tasks": ("id", "action", "state", "note", "prospect", "owner", "completedAt", "updatedAt"),
    "mailings": ("id", "subject", "state", "prospect", "user", "deliveredAt", "updatedAt"),
    "calls": ("id", "direction", "outcome", "note", "prospect", "user", "completedAt", "updatedAt"),
    "Account": ("Id", "Name", "Website", "Industry", "OwnerId", "Sync_Key__c", "IsDeleted", "LastModifiedDate"),
    "Contact": ("Id", "Name", "Email", "Title", "AccountId", "OwnerId", "Sync_Key__c", "IsDeleted", "LastModifiedDate"),
    "Lead": ("Id", "Name", "Email", "Company", "Status", "OwnerId", "IsConverted", "IsDeleted", "LastModifiedDate"),
    "Opportunity": ("Id", "Name", "StageName", "CloseDate", "AccountId", "IsDeleted", "LastModifiedDate"),
    "Task": ("Id", "Subject", "Status", "ActivityDate", "WhoId", "WhatId", "IsDeleted", "LastModifiedDate"),
    "Event": ("Id", "Subject", "StartDateTime", "DurationInMinutes", "WhoId", "WhatId", "IsDeleted", "LastModifiedDate"),
    "User": ("Id", "Name", "Username", "Email", "IsActive"),
    "EventRelation": ("Id", "EventId", "RelationId", "IsParent", "IsWhat", "IsInvitee", "Status", "IsDeleted", "LastModifiedDate"),
    "EmailMessage": ("Id", "Subject", "FromAddress", "ToAddress", "MessageDate", "Status", "RelatedToId", "ActivityId", "IsDeleted"),
    "OpportunityContactRole": ("Id", "OpportunityId", "ContactId", "Role", "IsPrimary", "IsDeleted", "LastModifiedDate"),
    "microsoft/contact": ("id", "mailbox", "folder", "displayName", "emails", "companyName", "categories", "lastModifiedDateTime"),
    "microsoft/contactFolder": ("id", "mailbox", "displayName", "parent", "contacts"),
    "microsoft/event": ("id", "mailbox", "subject", "start", "end", "timeZone", "attendees", "categories", "isCancelled", "kind"),
    "microsoft/user": ("id", "mail", "displayName", "accountEnabled", "state"),
    "microsoft/outlookCategory": ("id", "mailbox", "displayName", "color"),
    "microsoft/message": ("id", "mailbox", "folder", "subject", "from", "to", "categories", "receivedDateTime"),
    "microsoft/task": ("id", "mailbox", "list", "title", "status", "importance", "dueDate", "categories"),
    # Kinds of records that other systems have too stand with the system's name.
    "google/contact": ("id", "mailbox", "givenName", "familyName", "emails", "labels", "updateTime"),
    "google/contactGroup": ("id", "mailbox", "name", "memberCount", "updateTime"),
    "google/message": ("id", "mailbox", "labels", "subject", "from", "to", "receivedAt"),
    "google/event": ("id", "mailbox", "summary", "start", "end", "attendees", "recurrence", "updatedAt"),
    "google/task": ("id", "mailbox", "list", "title", "due", "status", "updatedAt"),
    "google/user": ("id", "email", "givenName", "familyName", "suspended"),
    "exchange/contact": ("id", "mailbox", "folder", "displayName", "emails", "companyName", "categories", "lastModifiedDateTime"),
    "exchange/folder": ("id", "mailbox", "displayName", "class", "parent", "items"),
    "exchange/event": ("id", "mailbox", "subject", "start", "end", "timeZone", "attendees", "categories", "isCancelled", "kind"),
    "exchange/message": ("id", "mailbox", "folder", "subject", "from", "to", "categories", "receivedDateTime"),
    "exchange/task": ("id", "mailbox", "folder", "title", "status", "importance", "dueDate", "categories"),
    "exchange/user": ("id", "mail", "displayName", "state"),
}  # fmt: skip
MAIN_OBJECTS = {
    "workbooks": ("organisations", "people"),
    "outreach": ("accounts", "prospects", "tasks", "mailings", "calls", "users"),
    "salesforce": (
        "Contact",
        "Lead",
        "Account",
        "Opportunity",
        "OpportunityContactRole",
        "Task",
        "Event",
        "EventRelation",
        "EmailMessage",
        "User",
    ),
    "microsoft": ("contact", "contactFolder", "user", "outlookCategory", "event", "message", "task"),
    "google": ("contact", "contactGroup", "message", "event", "task", "user"),
    "exchange": ("contact", "folder", "event", "message", "task", "user"),
}
MENU = {
    "workbooks": ("organisations",),
    "outreach": ("accounts", "prospects"),
    "salesforce": ("Contact", "Lead"),
    "microsoft": ("contact", "event"),
    "google": ("contact",),
    "exchange": ("contact",),
}
# Fields that can be filled in although the record holds nothing of them yet.
OFFERED = {
    "accounts": ("name", "domain", "industry", "websiteUrl", "locality", "description", "tags"),
    "prospects": ("firstName", "lastName", "title", "company", "emails", "workPhones", "mobilePhones", "homePhones", "addressStreet",
                  "addressCity", "addressState", "addressZip", "addressCountry", "websiteUrl1", "source", "emailOptedOut",
                  "callOptedOut", "tags"),
    "tasks": ("action", "note", "state", "prospect", "owner", "completedAt"),
    "mailings": ("subject", "bodyText", "state", "prospect", "user", "deliveredAt"),
    "calls": ("direction", "outcome", "note", "from", "to", "prospect", "user", "dialedAt", "answeredAt", "completedAt"),
    "Account": ("Name", "Website", "Industry", "Phone", "Description", "BillingStreet", "BillingCity", "BillingCountry"),
    "Contact": ("FirstName", "LastName", "Email", "Title", "Phone", "MobilePhone", "HomePhone", "MailingStreet", "MailingCity",
                "MailingState", "MailingPostalCode", "MailingCountry", "LeadSource", "Description", "HasOptedOutOfEmail", "DoNotCall"),
    "Lead": ("FirstName", "LastName", "Email", "Company", "Title", "Phone", "MobilePhone", "Street", "City", "State", "PostalCode",
             "Country", "Website", "LeadSource", "Description", "HasOptedOutOfEmail", "DoNotCall"),
    "Event": ("Subject", "Location", "StartDateTime", "EndDateTime", "IsAllDayEvent", "WhoId", "WhatId", "OwnerId", "Description", "ShowAs",
              "IsPrivate", "IsReminderSet", "ReminderDateTime", "Recurrence2PatternText"),
    "EventRelation": ("EventId", "RelationId", "Status", "Response"),
    "Task": ("Subject", "ActivityDate", "Status", "Priority", "WhoId", "WhatId", "OwnerId", "Description", "IsReminderSet",
             "ReminderDateTime"),
    "EmailMessage": ("Subject", "FromAddress", "ToAddress", "CcAddress", "TextBody", "Status", "MessageDate", "MessageIdentifier",
                     "RelatedToId"),
    "Opportunity": ("Name", "StageName", "CloseDate", "AccountId", "Amount", "OwnerId", "ContactId"),
    "OpportunityContactRole": ("OpportunityId", "ContactId", "Role", "IsPrimary"),
}  # fmt: skip
# The same for records of mail systems, by system and kind; with the first one a new record says whose it is.
OFFERED_IN_MAIL = {
    "microsoft/contact": ("mailbox", "folder", "givenName", "surname", "emails", "companyName", "jobTitle", "mobilePhone", "categories"),
    "microsoft/message": (
        "mailbox",
        "folder",
        "from",
        "to",
        "cc",
        "subject",
        "body",
        "bodyType",
        "categories",
        "conversation",
        "receivedDateTime",
        "deliver",
    ),
    "microsoft/event": (
        *("mailbox", "subject", "start", "end", "timeZone", "isAllDay", "location", "attendees", "categories", "sensitivity"),
        *("showAs", "body", "recurrence", "organizer"),
    ),
    "microsoft/task": ("mailbox", "list", "title", "body", "status", "importance", "dueDate", "categories"),
    "google/contact": ("mailbox", "labels", "givenName", "familyName", "emails", "company"),
    "google/message": ("mailbox", "labels", "from", "to", "cc", "subject", "body", "receivedAt", "deliver"),
    "google/event": (
        *("mailbox", "summary", "start", "end", "timeZone", "isAllDay", "location", "attendees", "visibility", "transparency"),
        *("description", "recurrence"),
    ),
    "google/task": ("mailbox", "list", "title", "notes", "due", "status"),
    "exchange/contact": ("mailbox", "folder", "givenName", "surname", "emails", "companyName", "jobTitle", "mobilePhone", "categories"),
    "exchange/folder": ("mailbox", "displayName", "class", "parent"),
    "exchange/message": (
        *("mailbox", "folder", "from", "to", "cc", "subject", "body", "bodyType", "categories", "conversation", "receivedDateTime"),
        "deliver",
    ),
    "exchange/event": (
        *("mailbox", "subject", "start", "end", "timeZone", "isAllDay", "location", "attendees", "categories", "sensitivity"),
        *("showAs", "body", "recurrence", "organizer"),
    ),
    "exchange/task": ("mailbox", "folder", "title", "body", "status", "importance", "dueDate", "categories"),
}
LISTS = {
    *("emails", "workPhones", "mobilePhones", "homePhones", "otherPhones", "voipPhones", "tags"),
    *("businessPhones", "categories", "phones", "labels", "attendees", "optionalAttendees"),
}
NUMBERS = {"prospect", "owner", "user"}  # relationships of Outreach, which are ids
SWITCHES = {
    *("emailOptedOut", "callOptedOut", "HasOptedOutOfEmail", "DoNotCall"),
    *("IsAllDayEvent", "IsPrivate", "IsReminderSet", "IsPrimary", "isAllDay", "isCancelled"),
}
COMPOUND = {("prospects", "name"), ("Contact", "Name"), ("Lead", "Name")}  # made up of its parts
FIXED = {
    "id", "lock_version", "updated_at", "created_at", "updatedAt", "createdAt", "Id", "CreatedDate", "LastModifiedDate", "SystemModstamp",
    "immutableId", "@odata.etag", "changeKey", "createdDateTime", "lastModifiedDateTime", "mailbox", "parentFolderId", "parent", "contacts",
    "birthday", "completedDate", "primaryEmailAddress", "secondaryEmailAddress", "tertiaryEmailAddress", "userType",
    "resourceName", "memberCount", "etag", "updateTime", "iCalUId", "isOrganizer", "organizer", "kind",
    "eventId", "iCalUID", "htmlLink", "recurringEventId", "originalStart", "eventType", "taskId", "listId", "completedAt", "isHidden",
    "items", "goneOccurrences",
}  # fmt: skip
STYLE = """
:root{color-scheme:light dark;--fg:#0f172a;--bg:#fff;--quiet:#56617a;--line:#e2e8f0;--link:#1e40af;--soft:#f8fafc}
@media(prefers-color-scheme:dark){:root{--fg:#e2e8f0;--bg:#0b1220;--quiet:#a3b0c6;--line:#22304a;--link:#93c5fd;--soft:#111a2e}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);margin:0}
header{padding:12px 28px;border-bottom:1px solid var(--line);background:var(--soft);
  display:flex;gap:20px;flex-wrap:wrap;align-items:baseline}
header b{font-size:1.1rem}main{padding:20px 28px;overflow-x:auto}a{color:var(--link)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:7px 10px;border-bottom:1px solid var(--line);vertical-align:top}
td{min-width:4.5rem;max-width:24rem;overflow-wrap:anywhere}th{color:var(--quiet);font-weight:600;font-size:.85rem}
input{font:inherit;padding:5px 8px;width:100%;box-sizing:border-box;
  border:1px solid #7b889e;border-radius:6px;background:var(--bg);color:inherit}
button{font:inherit;padding:7px 16px;border:0;border-radius:6px;background:#1d4ed8;color:#fff;cursor:pointer}
.quiet{color:var(--quiet)}form.search{display:flex;gap:8px;max-width:32rem;margin-bottom:14px}.error{color:#b91c1c;font-weight:600}
.said{font-weight:600}
"""


class Pages:
    """Answers `GET /` and everything under `/browse` with HTML. State changes only by POST."""

    def __init__(self, world: World) -> None:
        self._world = world

    def handle(self, request: Request) -> Response:
        if request.path == "/style.css":
            return Response(200, STYLE.encode(), "text/css; charset=utf-8")
        parts = [unquote(p) for p in request.path.split("/") if p][1:]
        with self._world.lock:
            if not parts:
                return self._home()
            if parts == ["calls"]:
                return self._calls()
            system = self._world.systems.get(parts[0])
            if len(parts) == 1 and system is not None:
                return _see_other(f"/browse/{parts[0]}/{MAIN_OBJECTS[parts[0]][0]}")
            if system is None or len(parts) not in (2, 3) or parts[1] not in system.objects():
                return _page("Not found", "<p>There is nothing at this address.</p>", 404)
            if len(parts) == 2:
                return self._table(parts[0], parts[1], dict(parse_qsl(request.query)))
            if parts[2] == NEW and _offered(parts[0], parts[1]):
                return self._new(parts[0], parts[1], request)
            return self._record(parts[0], parts[1], parts[2], request)

    def _home(self) -> Response:
        rows = []
        for name in PORTS:
            system = self._world.systems[name]
            links = " · ".join(f'<a href="/browse/{name}/{o}">{o}</a> ({system.count(o)})' for o in MAIN_OBJECTS[name])
            rows.append(f"<tr><th>{TITLES[name]}<td>{links}<td class=quiet>{html.escape(self._world.base_urls.get(name, ''))}")
        body = "<p>Stand-ins for the real systems, in memory on this machine. Edit a record here and watch the pass carry it over.</p>"
        return _page("Sandbox", f"{body}<table>{''.join(rows)}</table>")

    def _table(self, name: str, object_type: str, query: dict[str, str]) -> Response:
        system = self._world.systems[name]
        wanted = query.get("q", "").casefold()
        records = [r for r in system.list_records(object_type) if not wanted or any(wanted in str(v).casefold() for v in r.values())]
        page = max(1, read_id(query.get("page", "")) or 1)
        known = COLUMNS.get(f"{name}/{object_type}", COLUMNS.get(object_type))
        columns = known or (tuple(records[0])[:8] if records else ("id",))
        head = "".join(f"<th>{html.escape(_title(c))}" for c in columns)
        rows = []
        for record in records[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE]:
            cells = "".join(f"<td>{_cell(record.get(c))}" for c in columns[1:])
            id_ = _id_of(record)
            rows.append(f'<tr><td><a href="/browse/{name}/{object_type}/{quote(str(id_), safe="")}">{id_}</a>{cells}')
        search = (
            f'<form class=search><input name=q aria-label="Search" value="{html.escape(query.get("q", ""))}"><button>Search</button></form>'
        )
        more = ""
        if len(records) > page * ROWS_A_PAGE:
            link = html.escape("?" + urlencode({"q": query.get("q", ""), "page": page + 1}))
            more = f'<p><a href="{link}">Next page</a></p>'
        empty = "" if rows else "<p class=quiet>No records.</p>"
        new = f'<p><a href="/browse/{name}/{object_type}/{NEW}">New {object_type}</a></p>' if _offered(name, object_type) else ""
        body = f"{search}{new}<p class=quiet>{len(records)} records</p><table><tr>{head}{''.join(rows)}</table>{empty}{more}"
        return _page(f"{TITLES[name]}: {object_type}", body)

    def _record(self, name: str, object_type: str, id_text: str, request: Request) -> Response:
        system = self._world.systems[name]
        record = system.get_record(object_type, system.find_id(object_type, id_text) or 0)
        if record is None:
            return _page("Not found", "<p>This record does not exist.</p>", 404)
        said = "<p class=said role=status>Saved.</p>" if request.query == SAVED else ""
        if request.method == "POST":
            try:
                if "delete" in _given(request):
                    system.delete_record(object_type, system.find_id(object_type, id_text) or 0)
                    self._world.keep()
                    return _see_other(f"/browse/{name}/{object_type}")
                record = self._save(name, object_type, record, _given(request))
                self._world.keep()
                return _see_other(f"{request.path}?{SAVED}")
            except ValueError as refusal:
                said = f"<p class=error role=alert>{html.escape(str(refusal))}</p>"
        rows = []
        for field, value in _with_offered(object_type, record).items():
            is_fixed = field in FIXED or (object_type, field) in COMPOUND
            is_long = isinstance(value, str) and "\n" in value  # one line to edit it in would make one line of it
            if is_fixed or is_long or isinstance(value, dict) or (isinstance(value, list) and field not in LISTS):
                rows.append(f"<tr><th>{html.escape(_title(field))}<td>{_cell(value)}")
            else:
                rows.append(_input(field, _as_text(value)))
        form = f'<form method=post action="{html.escape(request.path)}">'
        save, delete = "<button>Save</button>", f"{form}<p><button name=delete value=1>Delete</button></p></form>"
        body = f"{said}{form}<table>{''.join(rows)}</table><p>{save}</p></form>{delete}"
        return _page(f"{TITLES[name]}: {object_type} {id_text}", body)

    def _new(self, name: str, object_type: str, request: Request) -> Response:
        """A record that a user of the system makes."""
        given, said = _given(request), ""
        fields = _offered(name, object_type)
        if request.method == "POST":
            values = {field: _read(field, text) for field, text in given.items() if field in fields and text.strip()}
            try:
                made = self._world.systems[name].create_record(object_type, values)
                self._world.keep()
                return _see_other(f"/browse/{name}/{object_type}/{quote(str(_id_of(made)), safe='')}?{SAVED}")
            except ValueError as refusal:
                said = f"<p class=error role=alert>{html.escape(str(refusal))}</p>"
        rows = "".join(_input(field, given.get(field, "")) for field in fields)
        form = f'<form method=post action="{html.escape(request.path)}">'
        return _page(f"{TITLES[name]}: new {object_type}", f"{said}{form}<table>{rows}</table><p><button>Save</button></p></form>")

    def _save(self, name: str, object_type: str, record: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
        """Saves the fields that differ, with the type they have. Raises ValueError in the system's words."""
        changes: dict[str, Any] = {}
        for field, text in given.items():
            old = record.get(field)
            if field not in _with_offered(object_type, record) or text == _as_text(old):
                continue
            if field in LISTS or field in SWITCHES:
                changes[field] = _read(field, text)
            elif isinstance(old, bool):
                changes[field] = _is_yes(text)
            elif (isinstance(old, int) or field in NUMBERS) and read_id(text.strip().removeprefix("-")) is not None:
                changes[field] = int(text)
            else:
                changes[field] = text or None
        if not changes:
            return record
        system = self._world.systems[name]
        return system.update_record(object_type, system.find_id(object_type, str(_id_of(record))) or 0, changes)

    def _calls(self) -> Response:
        rows = []
        for call in list(self._world.calls)[-200:][::-1]:
            cells = "".join(f"<td>{html.escape(str(call[k]))}" for k in ("system", "method", "path", "query", "status", "ms"))
            rows.append(f"<tr>{cells}")
        head = "<tr><th>System<th>Method<th>Path<th>Asked<th>Status<th>ms"
        return _page("Last calls", f"<table>{head}{''.join(rows)}</table>" if rows else "<p class=quiet>No calls yet.</p>")


def _given(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)) if request.method == "POST" else {}


def _offered(name: str, object_type: str) -> tuple[str, ...]:
    """Returns the fields that a new record may be given, none where people make none here."""
    return OFFERED_IN_MAIL.get(f"{name}/{object_type}") or (OFFERED.get(object_type, ()) if name in ("outreach", "salesforce") else ())


def _read(field: str, text: str) -> Any:
    if field in LISTS:
        return [part for word in text.split(",") if (part := word.strip())]
    if field in NUMBERS and read_id(text.strip()) is not None:
        return int(text)
    return _is_yes(text) if field in SWITCHES else text


def _is_yes(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "yes", "on")


def _input(field: str, text: str) -> str:
    label, name = html.escape(_title(field)), html.escape(field)
    label += " <span class=quiet>separated by commas</span>" if field in LISTS else ""
    return f'<tr><th><label for="{name}">{label}</label><td><input id="{name}" name="{name}" value="{html.escape(text)}">'


def _id_of(record: dict[str, Any]) -> Any:
    """Returns what a record is called: Salesforce spells it Id."""
    return record.get("id", record.get("Id"))


def _with_offered(object_type: str, record: dict[str, Any]) -> dict[str, Any]:
    """Returns what the page of a record shows: what it holds, and what it may be given."""
    return {**dict.fromkeys(OFFERED.get(object_type, ())), **record}


def _as_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def _title(field: str) -> str:
    return field.removeprefix("cf_organisation_").removeprefix("cf_person_").replace("_", " ")


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return html.escape(", ".join(str(v) for v in value))
    text = "" if value is None else str(value)
    if text.startswith(("http://127.0.0.1", "https://")):
        return f'<a href="{html.escape(text)}" rel="noreferrer">{html.escape(text)}</a>'
    return html.escape(text)


def _page(title: str, body: str, status: int = 200) -> Response:
    links = "".join(f'<a href="/browse/{n}/{o}">{TITLES[n]} {o}</a>' for n in PORTS for o in MENU[n])
    head = f'<header><b><a href="/">Sandbox</a></b>{links}<a href="/browse/calls">Last calls</a></header>'
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{html.escape(title)}</title><link rel="stylesheet" href="/style.css">{head}'
        f"<main><h1>{html.escape(title)}</h1>{body}</main></html>"
    )
    policy = (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    )
    return Response(status, page.encode("utf-8", "replace"), "text/html; charset=utf-8", [policy])


def _see_other(where: str) -> Response:
    return Response(303, b"", "text/html", [("Location", where)])
