"""What the engine knows of the outside world: records, refs, conditions, writes, and the `Connector` protocol.

Every connector speaks in these terms and the engine in no others. Field names are the system's own attribute
names (`organisation_num_employees`, `websiteUrl`), because mapping rows pair them by name; values are canonical:
`str`, `bool`, `int`, `float`, aware UTC `datetime`, `date`, `tuple[str, ...]`, and `None` for blank. Ids of other
systems are strings, even when they look like numbers. A to-one relationship is a field holding the other id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol

Value = str | bool | int | float | datetime | date | tuple[str, ...] | None
Fields = Mapping[str, Value]


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Names one record of one system, e.g. `workbooks:organisation:226`."""

    system: str
    object_type: str
    id: str

    def __str__(self) -> str:
        return f"{self.system}:{self.object_type}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Returns the ref that `text` spells. Raises ValueError when it has not three parts."""
        system, object_type, id_ = text.split(":", 2)
        if not (system and object_type and id_):
            raise ValueError(f"not a record reference: {text!r}")
        return cls(system, object_type, id_)


@dataclass(frozen=True, slots=True)
class Record:
    """One record as a system returned it.

    `version` changes with every write of that record (lock_version, updatedAt, etag). `damaged` names the fields
    whose text held NUL or lone surrogates and was changed to U+FFFD while reading; such a value is never written to
    the other side (engine-rules 5). `updated_at` is what sweeps go by; `edited_at` is when a person or program last
    edited it, where the system tells that apart from changes of its own (roll-ups, ownership jobs): who weighs edits
    against each other takes `edited_at or updated_at`. `succeeded_by` is what the system says took its place: the
    record it was merged into, or converted to.
    """

    ref: Ref
    fields: Fields
    version: str = ""
    updated_at: datetime | None = None
    updated_by: str = ""
    is_deleted: bool = False
    damaged: frozenset[str] = frozenset()
    edited_at: datetime | None = None
    succeeded_by: Ref | None = None


class Op(StrEnum):
    """Comparisons a condition may use. BLANK holds for null and for empty text alike (S0.12)."""

    EQ = "eq"
    IN = "in"
    GE = "ge"
    GT = "gt"
    LT = "lt"
    TRUE = "true"
    FALSE = "false"
    BLANK = "blank"


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison of a field. `value` is ignored for TRUE, FALSE and BLANK; for IN it is a tuple of texts."""

    field: str
    op: Op
    value: Value = None


@dataclass(frozen=True, slots=True)
class All:
    """Holds when every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when at least one part holds."""

    parts: tuple[Condition, ...]


Condition = Test | All | AnyOf


@dataclass(frozen=True, slots=True)
class Position:
    """Where a sweep stands: the (updated_at, id) of the last record read. Pages go on after it, never by offset."""

    updated_at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a sweep. `server_time` is the remote clock (`Date` header) of this answer, whole seconds, UTC.
    `position` is where the next page starts; `None` says that the sweep is at its end."""

    records: tuple[Record, ...]
    position: Position | None
    server_time: datetime


@dataclass(frozen=True, slots=True)
class File:
    """A file that is made together with a record: an attachment of an e-mail."""

    name: str
    type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Write:
    """One change of one record. `ref` is None for a create. `version` is the version it rests on, where the system
    checks one. `marker` goes with a create and is stored with the new record. `key` is the caller's own name for it.
    `also_read` names fields that the answer to a create should hold beside those written: what the system itself puts
    there. A system that answers with the whole record needs no telling. `files` are made with the record."""

    object_type: str
    fields: Fields
    key: str
    ref: Ref | None = None
    version: str = ""
    marker: str = ""
    is_delete: bool = False
    also_read: tuple[str, ...] = ()
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, with secrets redacted and bodies cut, for the log that support reads (S0.23)."""

    method: str
    url: str
    request_body: str
    status: int
    response_body: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What became of one `Write`: `record` as the system answered (fields it returned only), or the `error`.

    A result with an error whose `may_have_happened` is true is in doubt. `stood` holds what the written fields held right
    before, where the system tells that in the same call; it may be an edit that no version could show."""

    key: str
    record: Record | None = None
    error: Exception | None = None
    exchange: Exchange | None = None
    stood: Fields = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of an object type. `type` is one of text, boolean, integer, number, datetime, date, list,
    reference. `max_length` counts characters, 0 = no limit known. `title` is what people call it."""

    name: str
    title: str
    type: str
    max_length: int = 0
    is_required: bool = False
    is_readable: bool = True
    is_creatable: bool = True
    is_updatable: bool = True
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """The attributes of one object type by name."""

    object_type: str
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a connection test: what was tried, whether it went well, what to do if not and who can do it. A warning
    is a line that went well and still wants a look; `passes` a failure that passes by itself: nobody has to do anything."""

    name: str
    is_ok: bool
    sentence: str
    remedy: str = ""
    is_warning: bool = False
    passes: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a system takes us for: the user, what the organisation or database is called, and its id. "" where the system
    does not say. `user_id` is how `Record.updated_by` names us, where it holds ids."""

    user: str = ""
    organisation: str = ""
    organisation_id: str = ""
    user_id: str = ""

    def __str__(self) -> str:
        return " at ".join(part for part in (self.user, self.organisation) if part)


@dataclass(slots=True)
class CallCount:
    """Calls of one connection since it was opened, and what the last answer said of its allowance."""

    calls: int = 0
    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None
    by_template: dict[str, int] = field(default_factory=dict)

    def add(self, other: CallCount) -> None:
        """Counts the calls of another one, too."""
        self.calls += other.calls
        for name, calls in list(other.by_template.items()):
            self.by_template[name] = self.by_template.get(name, 0) + calls


Spread = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]


def one_by_one(call: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[Any]:
    """The plainest `Spread`: a map whose calls wait for each other. Whoever opens a connector may bring one of threads."""
    return map(call, parts)


class Connector(Protocol):
    """One connection to one system. Thread-safe: the executor calls `write` from several threads at once.

    Every method raises an error of `connectors.errors`; what each class means stands there.
    """

    system: str
    settle_seconds: int  # after this many seconds a create is visible to searches
    concurrency: int  # requests that may be under way at once
    request_timeout: float  # seconds a single call may take
    marker_field: str  # where `Write.marker` of a create is stored, for `find`; "" where it is not stored

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
        """Returns one page of the records that meet `where`, sorted by (updated_at, id), after `position` and
        changed before `before` (exclusive). With `include_deleted_since` also deleted records changed at or after
        it, in the same call."""
        ...

    def scan(self, object_type: str, *, where: Condition, columns: Sequence[str]) -> Iterator[Page]:
        """Yields the pages of all records that meet `where`, by the system's own paging. Cannot be resumed."""
        ...

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        """Returns the records with these ids, in any order, in the fewest calls; missing ones are left out."""
        ...

    def find(
        self, object_type: str, field: str, values: Sequence[str], columns: Sequence[str], *, also: Condition | None = None
    ) -> list[Record]:
        """Returns every record whose `field` equals one of `values`, many values a call, whatever they contain."""
        ...

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        """Returns every record that carries one of these markers, of those made since `since` where the marker's
        attribute cannot be searched for."""
        ...

    def count(self, object_type: str, where: Condition, *, position: Position | None = None, before: datetime | None = None) -> int:
        """Returns how many records meet `where`, behind `position` and changed before `before` as in `changes`, for pages
        that explain; never for control flow."""
        ...

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        """Returns how many writes one call of `write` may carry."""
        ...

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        """Sends the writes in one call and returns a result for each, in order. Each row stands for itself. Never
        repeats a create. Raises when the whole call failed; `error.may_have_happened` says whether it is in doubt."""
        ...

    def schema(self, object_type: str) -> Schema:
        """Returns the attributes of the object type as the system describes them."""
        ...

    def check(self, *, may_send: bool = True) -> list[Check]:
        """Tries what the product needs and returns a line for each. Writes nothing; without `may_send` it sends not even
        what only proves the right to write."""
        ...

    def rivals(self, own_prefix: str) -> list[Check]:
        """Looks for another engine at work on the same records and returns a line for each place looked at; our own keys
        start with `own_prefix`. Two engines on one pair make false duplicates."""
        ...

    def keep_alive(self) -> None:
        """Uses what would die of not being used: a refresh token. Nothing to do where there is none."""
        ...

    def identity(self) -> Identity:
        """Returns whom the system takes us for."""
        ...

    def web_url(self, ref: Ref) -> str:
        """Returns the address of the record's page for people, "" when no page-address template is set."""
        ...

    def counts(self) -> CallCount:
        """Returns the calls made so far."""
        ...

    def close(self) -> None:
        """Closes the sockets."""
        ...


class MakesFields(Protocol):
    """A connector that can also create custom fields: `write("custom_field", …)` takes rows of title, record_type and
    type (text or boolean), and what was made becomes usable a moment later."""

    def pending_fields(self, ids: Sequence[str]) -> set[str]:
        """Returns those of these new fields that cannot be used yet."""
        ...


class Fate(StrEnum):
    """What became of a record. UNKNOWN: no trace of it, or our user may not see it."""

    LIVING = "living"
    MERGED = "merged"
    CONVERTED = "converted"
    DELETED = "deleted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Survivor:
    """The living record that stands for another one now, itself where it lives; None where there is none. `fate` is what
    became of the record that was asked for."""

    fate: Fate
    ref: Ref | None = None


class FollowsRecords(Protocol):
    """A connector of a system where records are merged, or converted into others."""

    def survivors(self, object_type: str, ids: Sequence[str]) -> dict[str, Survivor]:
        """Returns what stands for each of these records now, by the id that was asked for, however often it was merged or
        converted since."""
        ...


@dataclass(frozen=True, slots=True)
class Feed:
    """What a system's own log says of a stretch of time. The next stretch starts at `until`. `is_whole` False: the log
    does not reach back to the start, and what it lacks is found only by comparing all ids (D22)."""

    refs: tuple[Ref, ...]
    until: datetime | None
    is_whole: bool = True


class KeepsLog(Protocol):
    """A connector of a system that keeps a log of deletions and changes, as a check on sweeps."""

    def deleted(self, object_type: str, start: datetime, end: datetime) -> Feed:
        """Returns the records deleted, or merged into others, between the two instants, at least a minute apart."""
        ...

    def updated(self, object_type: str, start: datetime, end: datetime) -> Feed:
        """Returns the records made or changed between the two instants."""
        ...


@dataclass(frozen=True, slots=True)
class SavedView:
    """A list of records that people saved under a name. One that is not `is_usable` cannot be asked for its records."""

    id: str
    title: str
    is_usable: bool = True


class HasViews(Protocol):
    """A connector of a system where people save lists of records."""

    def views(self, object_type: str) -> list[SavedView]:
        """Returns the saved lists that our user may see."""
        ...

    def ids_in_view(self, object_type: str, view_id: str, *, most: int | None = None) -> list[str]:
        """Returns the ids of all records that are in the list now; with `most`, it stops reading behind so many, and more
        ids than that say that the list goes on. Leaving the list is no deletion."""
        ...


MINE, EVERYTHING = "mine", "everything"  # scopes of a saved list: its reader's own records, and all


@dataclass(frozen=True, slots=True)
class ViewTerms:
    """What a saved list asks for, so that it can be evaluated for anybody. `where` is a condition in the system's own
    language, "" for none, and nobody's business but the connector's; `fingerprint` changes when the list asks for something
    else. Terms that are not usable say why in `why_not`."""

    object_type: str
    scope: str
    where: str
    fingerprint: str
    why_not: str = ""

    @property
    def is_usable(self) -> bool:
        return not self.why_not


class EvaluatesViews(HasViews, Protocol):
    """A connector that can tell what is in a saved list for other users than its own."""

    def view_terms(self, object_type: str, view_id: str) -> ViewTerms:
        """Returns what the list asks for now. A list that is gone, or cannot be told for others, is not usable."""
        ...

    def members(
        self, object_type: str, terms: ViewTerms, *, owners: Sequence[str] | None, ids: Sequence[str] | None, columns: Sequence[str]
    ) -> Iterator[Page]:
        """Yields the pages of the records that are in the list: of scope MINE, of all these `owners` together, whose ids are
        in a field that the system names; of any other scope owners do not count. With `ids` only those of these records.
        They are read with our user's rights, not with those of the owners: what of EVERYTHING a user may see, `may_change`
        tells. Raises Rejected for terms that cannot be used."""
        ...

    def count_members(self, object_type: str, terms: ViewTerms, *, owners: Sequence[str] | None) -> int:
        """Returns how many records `members` would yield, without reading them."""
        ...


@dataclass(frozen=True, slots=True)
class RecordAccess:
    """What a user may do with one record."""

    read: bool = False
    edit: bool = False
    delete: bool = False


NO_ACCESS = RecordAccess()


class TellsAccess(Protocol):
    """A connector of a system that tells what another user than ours may do."""

    def may_change(self, user_id: str, ids: Sequence[str]) -> dict[str, RecordAccess]:
        """Returns what the user may do with each of these records, by the id that was asked for, many a call; NO_ACCESS to
        what does not exist."""
        ...


class FindsAccounts(Protocol):
    """A connector that looks for the company that a person is said to work for, many names a call."""

    def accounts_named(self, names: Sequence[str]) -> dict[str, list[Record]]:
        """Returns the accounts that are called so, by the name that was asked for, the one made first at the beginning. A
        blank name has none."""
        ...

    def accounts_containing(self, names: Sequence[str], *, most: int = 2) -> dict[str, list[Record]]:
        """Returns up to `most` accounts whose names hold this one, whatever characters it has. A blank name has none."""
        ...

    def accounts_at(self, domains: Sequence[str]) -> list[Record]:
        """Returns the accounts whose web site is of one of these domains, with Name, Website and ParentId; others may be among
        them, whose web sites only begin so."""
        ...


class FindsOwn(Protocol):
    """A connector whose creates may lack a marker: what our user made since an instant is looked through instead. The
    guarantee is weaker: another program may work as our user (engine-rules 35)."""

    def made_by_us(self, object_type: str, columns: Sequence[str], *, since: datetime) -> list[Record]:
        """Returns the records that our own user made at or after `since`."""
        ...


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook as a system keeps it: which object type it tells of, where to. `why` says why it is not active."""

    id: str
    object_type: str
    url: str
    is_active: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One change as a webhook told it: the changed fields, and what they held before where the system says so. `actor` is
    the user who made it, "" where it is not said."""

    ref: Ref
    action: str
    fields: Fields
    before: Fields
    at: datetime | None
    actor: str = ""


class KeepsHooks(Protocol):
    """A connector of a system that tells an address of ours of changes. What it tells is a hint, never the whole."""

    def hooks(self, url: str) -> list[Hook]:
        """Returns the webhooks that deliver to this address."""
        ...

    def make_hook(self, object_type: str, url: str, secret: str) -> Hook:
        """Creates a webhook for every change of the object type, signed with the secret. Never repeats the create: after
        one in doubt, look for it by its address."""
        ...

    def drop_hook(self, id_: str) -> None:
        """Deletes a webhook. One that is gone already is no error."""
        ...
