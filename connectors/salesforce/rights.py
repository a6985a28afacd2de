"""What a connection test asks Salesforce: the API, its version, and rights to objects and fields, all without a write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from connectors.checks import Try, run_checks
from connectors.contract import Check
from connectors.errors import ConnectorError, NeedsAttention
from connectors.http import unreadable
from connectors.salesforce.client import VERSIONS, SalesforceClient
from connectors.salesforce.codec import SYSTEM
from connectors.salesforce.faults import API_OFF
from connectors.salesforce.schema import fields_of
from connectors.salesforce.scopes import missing
from connectors.salesforce.settings import SalesforceSettings

KEY_LENGTH = 100  # characters that the external-id field must hold at least
DEFINED_LENGTH = 255  # what whoever makes it is told: the most there is
ADMINISTRATOR = "Ask a Salesforce administrator to"
AGAIN = "then test again."
EMAIL = "EmailMessage"
EMAIL_FIELDS = ("Id", "Subject", "FromAddress", "ToAddress", "MessageDate", "MessageIdentifier", "Status", "TextBody", "Incoming")
TASKS_INSTEAD = "Where e-mails of mailboxes are saved, a completed task stands for each."
SWITCH_EMAILS_ON = (
    f"{ADMINISTRATOR} switch Enhanced Email on (Setup, Enhanced Email) and give our user's permission set Read, Create, Edit and "
    f"Delete on EmailMessage, {AGAIN} Nothing has to be done where tasks are as good."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the passes need of an object type: fields to read, and whether records are made and changed. What is missing of an
    optional one is a warning: only a pass that need not be on wants it."""

    object_type: str
    noun: str
    fields: tuple[str, ...]
    is_written: bool = True
    is_optional: bool = False


WANTED = (
    Wanted("Contact", "contacts", ("Id", "LastName", "FirstName", "Email", "AccountId", "OwnerId", "SystemModstamp", "LastModifiedById")),
    Wanted("Lead", "leads", ("Id", "LastName", "FirstName", "Company", "Email", "Status", "OwnerId", "IsConverted", "SystemModstamp")),
    Wanted("Account", "accounts", ("Id", "Name", "Website", "OwnerId", "SystemModstamp")),
    Wanted("User", "users", ("Id", "Name", "Email", "IsActive"), is_written=False),
    Wanted("Task", "tasks", ("Id", "Subject", "WhoId", "ActivityDate", "Description", "OwnerId", "SystemModstamp"), is_optional=True),
)


@dataclass(frozen=True, slots=True)
class KeyDefinition:
    """The external-id field of one object type as a Salesforce administrator makes it. Upper and lower case count as the
    same: no two of our keys differ by it, and a key retyped by a person stays one key."""

    object_type: str
    api_name: str
    data_type: str = f"Text({DEFINED_LENGTH})"
    ticked: str = "External ID; Unique, case insensitive (“ABC” and “abc” are duplicates)"

    @property
    def field_name(self) -> str:
        """What the form there asks for: it puts `__c` behind it itself."""
        return self.api_name.removesuffix("__c")

    @property
    def label(self) -> str:
        return self.field_name.replace("_", " ")


class Rights:
    """Looks at the rights of our user. `reconnects`: a person logs in with the browser, and can do so again."""

    def __init__(self, client: SalesforceClient, settings: SalesforceSettings, granted_scope: str = "", *, reconnects: bool = True) -> None:
        self._client = client
        self._settings = settings
        self._granted = granted_scope
        self._reconnects = reconnects

    def lines(self, wanted: Sequence[Wanted] = WANTED) -> list[Check]:
        """Returns a line for everything that is needed, naming each right that is missing, and who can give it."""
        opens = partial(_who_opens, self._reconnects)
        found = run_checks([Try("Use the API", "Our user may use the API.", self._open, opens)])
        if all(line.is_ok for line in found):
            found += run_checks([Try("API version", f"Version {self._settings.api_version} is there.", self._version)])
        if not all(line.is_ok for line in found):
            return found
        for want in wanted:
            lines = self._of_object(want)
            found += lines
            if any(line.passes for line in lines):
                return found
        return found + self._emails() if wanted is WANTED else found

    def _emails(self) -> list[Check]:
        """Returns whether our user may make e-mails. Where it may not, tasks take their place: nothing is wrong then."""
        title, path = "Create e-mails", f"{self._client.root}/sobjects/{EMAIL}/describe"
        try:
            described = self._client.get_object(path, template="/sobjects/{object}/describe")
        except ConnectorError as error:
            if error.status not in (400, 403, 404):
                return [Check(title, True, f"Could not be looked at: {error.sentence}.", "Test again in a while.", is_warning=True)]
            return [Check(title, True, f"Our user sees no e-mails there. {TASKS_INSTEAD}", SWITCH_EMAILS_ON, is_warning=True)]
        seen = {row["name"] for row in fields_of(described)}
        if described.get("createable") is not True:
            return [Check(title, True, f"Our user may not create e-mails. {TASKS_INSTEAD}", SWITCH_EMAILS_ON, is_warning=True)]
        if hidden := [name for name in EMAIL_FIELDS if name not in seen]:
            said = f"Our user may not see {', '.join(hidden)} of e-mails. Where e-mails of mailboxes are saved, they wait for that."
            return [Check(title, True, said, _show(hidden, Wanted(EMAIL, "e-mails", ())), is_warning=True)]
        name = self._settings.external_id_field
        has_key = any(row["name"] == name and not list(_flaws(row)) for row in fields_of(described))
        key = f"recognised by {name}." if has_key else "looked for by their Message-ID before they are made."
        return [Check(title, True, f"Our user may create e-mails; they are {key}")]

    def _of_object(self, want: Wanted) -> list[Check]:
        described: dict[str, Any] = {}
        path = f"{self._client.root}/sobjects/{want.object_type}/describe"

        def read() -> Check | None:
            described.update(self._client.get_object(path, template="/sobjects/{object}/describe"))
            return _reading(want, described)

        lines = run_checks([Try(f"Read {want.noun}", f"Our user may read {want.noun}.", read, partial(_who_shows, want))])
        if described and want.is_written:
            lines += [_writing(want, described), self._key(want, described)]
        return [_as_warning(line) if want.is_optional else line for line in lines]

    def _key(self, want: Wanted, described: Mapping[str, Any]) -> Check:
        """Returns what there is of the external-id field. Without it creates look before they make (engine-rules 35)."""
        title, name = _key_title(want), self._settings.external_id_field
        if not name:
            said = "No external-id field is set. Creates look for the record before they make it, which is a weaker guarantee."
            return Check(title, True, said, "Enter the name of one under the connection's settings.", is_warning=True)
        field = next((row for row in fields_of(described) if row["name"] == name), None)
        if field is None:
            said = f"There is no field {name} for {want.noun}. Creates look for the record before they make it, a weaker guarantee."
            return Check(title, True, said, definition(want.object_type, name), is_warning=True)
        flaws = list(_flaws(field))
        if flaws:
            return Check(title, True, f"The field {name} {', '.join(flaws)}.", definition(want.object_type, name), is_warning=True)
        return Check(title, True, f"Creates are recognised by {name}.")

    def _open(self) -> Check | None:
        self._client.get_object(self._client.root, template="/")
        lacking = missing(self._granted)
        if not lacking:
            return None
        names = " and ".join(scope.name for scope in lacking)
        remedy = f"Ask whoever made our app in Salesforce to tick the scope {names} ({lacking[0].purpose}), then press Reconnect."
        return Check("Use the API", False, f"Our access lacks the scope {names}.", remedy)

    def _version(self) -> Check | None:
        answer = self._client.get(VERSIONS, template=VERSIONS)
        if not isinstance(answer.data, list):
            raise unreadable(SYSTEM, answer, is_read=True)
        known = [str(row.get("version")) for row in answer.data if isinstance(row, Mapping)]
        wanted = self._settings.api_version
        if wanted in known:
            return None
        latest = known[-1] if known else "none"
        return Check("API version", False, f"Version {wanted} is not there; the latest is {latest}.", "Enter another API version.")


def _key_title(want: Wanted) -> str:
    return f"Key of {want.noun}"


def key_lines(lines: Iterable[Check]) -> dict[str, Check]:
    """Returns the line of each written object type that says how it stands with its external-id field; none for a type
    that could not be looked at. A warning means: our creates cannot rely on that field."""
    titles = {_key_title(want): want.object_type for want in WANTED if want.is_written}
    return {titles[line.name]: line for line in lines if line.name in titles}


def definition(object_type: str, name: str) -> str:
    """Returns the exact definition of the external-id field, for who makes it."""
    made = KeyDefinition(object_type, name)
    return (
        f"{ADMINISTRATOR} make it: Setup, Object Manager, {object_type}, Fields & Relationships, New; data type Text, length "
        f"{DEFINED_LENGTH}, label “{made.label}”, field name “{made.field_name}” (API name {made.api_name}), ticked: {made.ticked}; "
        f"visible and editable for our user's permission set. Then test again."
    )


def _flaws(field: Mapping[str, Any]) -> Iterator[str]:
    if field.get("externalId") is not True:
        yield "is no External ID"
    if field.get("unique") is not True:
        yield "is not unique"
    length = field.get("length")
    if isinstance(length, int) and length < KEY_LENGTH:
        yield f"is shorter than {KEY_LENGTH} characters"
    if field.get("createable") is not True:
        yield "may not be written by our user"


def _reading(want: Wanted, described: Mapping[str, Any]) -> Check | None:
    """Returns what is missing for reading, None when nothing is."""
    title = f"Read {want.noun}"
    if described.get("queryable") is False:
        return Check(title, False, f"Our user may not read {want.noun}.", _give("Read", want))
    seen = {row["name"] for row in fields_of(described)}
    hidden = [name for name in want.fields if name not in seen]
    if not hidden:
        return None
    return Check(title, False, f"Our user may not see {', '.join(hidden)} of {want.noun}.", _show(hidden, want))


def _as_warning(line: Check) -> Check:
    """Returns a line that keeps nobody from anything but activities; trouble on the way stays trouble."""
    if line.is_ok or line.passes:
        return line
    said = f"{line.sentence} It is needed only where activities of Outreach are synced, or tasks or e-mails of mailboxes."
    return replace(line, is_ok=True, is_warning=True, sentence=said)


def _writing(want: Wanted, described: Mapping[str, Any]) -> Check:
    title = f"Create and change {want.noun}"
    lacking = [right for right, flag in (("Create", "createable"), ("Edit", "updateable")) if described.get(flag) is not True]
    if lacking:
        words = {"Create": "create", "Edit": "change"}
        return Check(
            title, False, f"Our user may not {' or '.join(words[x] for x in lacking)} {want.noun}.", _give(" and ".join(lacking), want)
        )
    return Check(title, True, f"Our user may create and change {want.noun}.")


def _give(rights: str, want: Wanted) -> str:
    return (
        f"{ADMINISTRATOR} give our user's permission set {rights} on {want.object_type} (Setup, Permission Sets, Object Settings), {AGAIN}"
    )


def _show(fields: Sequence[str], want: Wanted) -> str:
    where = f"Setup, Object Manager, {want.object_type}, Fields & Relationships, Set Field-Level Security"
    return f"{ADMINISTRATOR} make {', '.join(fields)} visible for our user's permission set ({where}), {AGAIN}"


def _who_opens(reconnects: bool, error: ConnectorError) -> str:
    if error.code in API_OFF:
        return f"{ADMINISTRATOR} give our user the permission “API Enabled” (the edition must have API access), {AGAIN}"
    if not isinstance(error, NeedsAttention) or error.status not in (400, 401):
        return ""
    return "Press Reconnect." if reconnects else "Correct it in the app or in the connection's settings, then test again."


def _who_shows(want: Wanted, error: ConnectorError) -> str:
    return _give("Read", want) if isinstance(error, NeedsAttention) and error.status in (400, 403, 404) else ""
