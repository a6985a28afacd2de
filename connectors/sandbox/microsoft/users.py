"""The directory: who is in the tenant, and the state of each one's mailbox."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.microsoft import filters
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.query import ordered, page, read_select
from connectors.sandbox.microsoft.refusal import Refused, access_denied, bad_request, no_user
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row

TEXTS = ("displayName", "mail", "userPrincipalName", "givenName", "surname", "jobTitle", "mobilePhone", "officeLocation",
         "preferredLanguage", "userType")  # fmt: skip
BY_DEFAULT = ("businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone", "officeLocation",
              "preferredLanguage", "surname", "userPrincipalName")  # fmt: skip
PROPERTIES = ("id", "accountEnabled", "businessPhones", *TEXTS)
STATES = ("ok", "denied", "gone", "not_enabled")  # of a mailbox
READ = ("User.Read.All", "Directory.Read.All")
MOST_USERS = 999
INACTIVE = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."


class Users:
    """What `/users` and `/me` answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collection(self, call: Call) -> Answer:
        """Answers `GET /users`."""
        self._may_read(call)
        select = self._select(call)
        rows = list(self._store.users.values())
        if (text := call.parameters.get("$filter")) is not None:
            test = filters.compiled(filters.parse(text), _compare, _no_lambda)
            rows = [row for row in rows if test(row)]
        rows = ordered(rows, call.parameters.get("$orderby"), ("displayName", "userPrincipalName"), lambda row, name: row.get(name))
        size = self._store.switches.users_page_size
        return page(call, rows, lambda row: shown(row, select), context="users", size=size, most=min(size, MOST_USERS))

    def single(self, call: Call, row: Row) -> Answer:
        """Answers `GET /users/{id}` and `GET /me`."""
        if call.user != row["n"]:
            self._may_read(call)
        call.allow("GET")
        return Answer(200, {"@odata.context": f"{call.root}/$metadata#users/$entity", **shown(row, self._select(call))})

    def _may_read(self, call: Call) -> None:
        call.allow("GET")
        if not call.permissions & set(READ):
            raise Refused(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")

    def _select(self, call: Call) -> tuple[str, ...]:
        return read_select(call.parameters.get("$select"), PROPERTIES, "user") or BY_DEFAULT

    def find(self, call: Call, text: str) -> Row | None:
        """Returns the user whom a path names; `me` is who signed in. Raises Refused where nobody did."""
        if call.parts[0] == "me":
            if not call.user:
                raise bad_request("/me request is only valid with delegated authentication flow.")
            return self._store.users.get(call.user)
        return self._store.user(text)

    def mailbox(self, call: Call, text: str) -> Row:
        """Returns the user whose mailbox a path names. Raises Refused for one that is not there, or not for this token."""
        row = self.find(call, text)
        if row is None or row["state"] == "gone":
            raise no_user(text, self._store.switches.unknown_user_code)
        call.note.mailbox = row.get("mail") or row["userPrincipalName"]
        if row["state"] == "denied" or (call.user and call.user != row["n"]):
            raise access_denied()
        if row["state"] == "not_enabled" or not row.get("mail"):
            raise Refused(404, "MailboxNotEnabledForRESTAPI", INACTIVE)
        return row


def shown(row: Row, select: tuple[str, ...]) -> dict[str, Any]:
    """Returns a user as an answer holds it."""
    own = {"id": row["id"], "accountEnabled": row["accountEnabled"], "businessPhones": [], **{n: row.get(n) for n in TEXTS}}
    return {name: value for name, value in own.items() if name in select}


def _compare(node: filters.Compare) -> filters.Test:
    is_text = node.path in ("id", "mail", "userPrincipalName", "displayName", "userType") and node.op in ("eq", "ne", "startswith")
    if not is_text and not (node.path == "accountEnabled" and node.op in ("eq", "ne")):
        told = f"Unsupported or invalid query filter clause specified for property '{node.path[:80]}' of resource 'User'."
        raise bad_request(told, "Request_UnsupportedQuery")
    return lambda row: filters.holds(node.op, row.get(node.path), node.value)


def _no_lambda(node: filters.Some) -> filters.Test:
    told = f"Unsupported or invalid query filter clause specified for property '{node.collection[:80]}' of resource 'User'."
    raise bad_request(told, "Request_UnsupportedQuery")
