"""The one tree of errors the outside world may cause.

    ConnectorError
    |-- RecordError                 stop this record: flag it, open an error case, a person resets it
    |   |-- Rejected                the system names the record and says no (validation, missing right to it)
    |   |   `-- TakenForDuplicate   it takes it for a duplicate of the records in `refs`
    |   |-- RecordGone              the record does not exist (any more)
    |   `-- StaleVersion            somebody changed it since it was read: read again, plan again, at most 5 times
    |-- MappingError                stop this mapping row or direction: one case, nobody is flagged
    `-- ConnectionTrouble           stop this run: nobody is flagged, wake-ups after 1, 2, 4, 8, 15 minutes
        |-- Unreachable             refused, no route, name unknown: certainly not done
        |-- NeedsAttention          401 after one refresh, invalid_grant, missing scope: a person must mend it
        |   `-- MailboxRefused      the same of one mailbox among many: no access to it, or it is gone (`is_gone`)
        |-- RateLimited             429, or 503 with Retry-After: wait `retry_after` seconds; not done
        |-- ServerTrouble           500, 502, bare 503: a write may have happened
        `-- OutcomeUnknown          time-out, reset, an answer not the system's own (`status` says which): a write may
                                    have happened unless `may_have_happened` says that it was refused before it began

Each class answers three questions: retry by itself? (`is_passing`) what does it stop? (`scope`) what do staff read?
(`sentence`). For a write, `may_have_happened` says whether it is in doubt (engine-rules 1-3, 12).
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar, TypeVar

from connectors.contract import Exchange, Ref

BAD_CERTIFICATE = "bad_certificate"  # the `code` of NeedsAttention when TLS was refused
TOO_MUCH = "too_much"  # the `code` of OutcomeUnknown when an answer is larger than we take: ask for less


class ConnectorError(Exception):
    """Base of all of them. `system` and `detail` name where and what; never a token, never the text of a mail."""

    scope: ClassVar[str] = "record"
    is_passing: ClassVar[bool] = False
    remedy: str = "Open the exchange below and send it to support."

    def __init__(
        self,
        detail: str,
        *,
        system: str = "",
        status: int = 0,
        code: str = "",
        may_have_happened: bool = False,
        retry_after: float | None = None,
        field: str = "",
        exchange: Exchange | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.system = system
        self.status = status
        self.code = code
        self.may_have_happened = may_have_happened
        self.retry_after = retry_after
        self.field = field
        self.exchange = exchange

    @property
    def sentence(self) -> str:
        """What staff read: the system, and what it said."""
        return f"{self.system.capitalize()}: {self.detail}" if self.system else self.detail


class RecordError(ConnectorError):
    """Stops this record only."""

    remedy = "Correct the record, then press Retry."


class Rejected(RecordError):
    """The system refused this record."""


class TakenForDuplicate(Rejected):
    """The system takes the record for a duplicate. `refs` are those it names, in its order; none where it does not say.
    `may_insist`: it would save the record if a person said so."""

    remedy = "Link one of the records named here, or merge them, then press Retry."

    def __init__(self, detail: str, *, refs: tuple[Ref, ...] = (), may_insist: bool = False, **common: Any) -> None:
        super().__init__(detail, **common)
        self.refs = refs
        self.may_insist = may_insist


class RecordGone(RecordError):
    """The record is not there."""

    remedy = "The record was deleted or hidden from our user. Create it again, link another, or stop syncing it."


class StaleVersion(RecordError):
    """The record changed since it was read."""

    is_passing = True
    remedy = "Somebody is editing this record. It is tried again by itself."


class MappingError(ConnectorError):
    """A mapping row names something the system does not have. `field` says which, when the answer did."""

    scope = "mapping"
    remedy = "Open the mapping table, correct or disable the row named here."


class ConnectionTrouble(ConnectorError):
    """The connection, not a record, is the cause."""

    scope = "connection"
    is_passing = True
    remedy = "Nothing to do: passes wait and go on by themselves."


class Unreachable(ConnectionTrouble):
    """No connection came about, so nothing was done."""


class NeedsAttention(ConnectionTrouble):
    """Credentials, consent or scope: a person must mend it."""

    is_passing = False
    remedy = "Open the connection, reconnect it or ask for the right named here."


class MailboxRefused(NeedsAttention):
    """One mailbox among many of a connection cannot be used. `is_gone`: it was deleted, or its user left."""

    remedy = "Allow our app to use this mailbox, then resume it on its page, or leave it paused."

    def __init__(self, detail: str, *, is_gone: bool = False, **common: Any) -> None:
        super().__init__(detail, **common)
        self.is_gone = is_gone
        if is_gone:
            self.remedy = "Nothing was deleted. If the person is back, resume it on its page."


class RateLimited(ConnectionTrouble):
    """The system asks us to wait. `retry_after` is in seconds."""


class ServerTrouble(ConnectionTrouble):
    """The system failed while answering."""


class OutcomeUnknown(ConnectionTrouble):
    """We do not know what happened: ask by marker before anything else."""


Trouble = TypeVar("Trouble", bound=ConnectorError)


def not_sent(trouble: Trouble) -> Trouble:
    """Returns the trouble as it concerns what was to follow: none of that was sent, so it is certainly not done."""
    found = copy.copy(trouble)
    found.may_have_happened = False
    found.exchange = None  # that call was another record's
    return found


def connection_sentence(error: ConnectorError) -> str:
    """Returns what a connection test says of an error: what is the matter with the connection, and what a person does
    about it. Names the system once."""
    if isinstance(error, Unreachable):
        return "Nothing answers at this address. Check the address, or whether the system is down."
    if isinstance(error, OutcomeUnknown) and error.status:
        return f"There is no {error.system.capitalize()} at this address (it answered {error.status}). Check the address."
    if error.code == BAD_CERTIFICATE:
        return f"{error.sentence}. Check the address, and the certificate of what answers there."
    if isinstance(error, RateLimited):
        return f"{error.sentence}. Test again then."
    if isinstance(error, OutcomeUnknown | ServerTrouble):
        return f"{error.sentence}. Check the address, or test again when the system is up."
    return f"{error.sentence}. {error.remedy}"
