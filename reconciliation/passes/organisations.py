"""Seed 000: Workbooks organisations become Outreach accounts. Pure: data in, decisions out.

`first_look` says what one selected row needs; `decide_new`, `decide_bound` and `decide_link` decide once the answers
are there. Called by `engine.organisations`, by previews and by the why page alike.
"""

from __future__ import annotations

from collections.abc import Mapping as ReadOnly
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from connectors.contract import Fields, Record
from reconciliation.core.eligibility import PluginColumns
from reconciliation.core.ledger import Outcome
from reconciliation.core.mapping import Mapping
from reconciliation.core.merging import Merge, SideState, changed_fields, merge_fields, values_of
from reconciliation.core.operations import Candidate, CaseOpening, Decision, Intent
from reconciliation.core.transforms import CannotConvert, Unmatched, Users, convert
from reconciliation.core.values import is_blank, name_key

ORGANISATION = "organisation"
PERSON = "person"
ACCOUNT = "account"
PROSPECT = "prospect"
OWNER = "owner"
CLOCKS_DIFFER = timedelta(minutes=15)  # the most that two systems' clocks are trusted to be apart
RESTORED = "restored"  # reason of the case for what cannot be known after a restore
LINKED, LINKED_AGAIN = "linked", "linked_again"  # a first link, and one that may have been forgotten with a restore


class Look(StrEnum):
    """What a selected row needs before it can be decided."""

    DONE = "done"
    NAMES = "names"
    ACCOUNT = "account"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Bound:
    """What the store knows of a binding of this organisation."""

    peer_id: str
    crm_base: Fields
    peer_base: Fields
    crm_version: str
    mapping_version: int = 0
    is_tombstone: bool = False
    is_write_back_due: bool = False
    synced_at: datetime | None = None
    peer_version: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """Everything the store knows about one organisation."""

    bound: Bound | None = None
    has_create_in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Restore:
    """Our database is a backup: agreements after `to` (Workbooks' clock) may have been made and forgotten. `at` is when it
    was put back (our clock)."""

    at: datetime
    to: datetime

    def forgot(self, bound: Bound, account: Record) -> bool:
        """Whether the account may have been written after the agreement we know of, by us or by its people."""
        is_older = bound.synced_at is None or bound.synced_at < self.at
        is_touched = not account.version or account.version != bound.peer_version
        # The account's time is by Outreach's clock, `to` by Workbooks'.
        return is_older and is_touched and (account.updated_at is None or account.updated_at >= self.to - CLOCKS_DIFFER)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for the whole pass: columns, mapping, database id for markers, what a first link does (D25)."""

    columns: PluginColumns
    mapping: Mapping
    database: str
    on_first_link: str = "fill_blanks"
    restore: Restore | None = None
    marker_field: str = ""
    looks_are_echo_blind: bool = False  # seeded defect: our own write comes back as a change
    sends_whole_record: bool = False  # seeded defect: every mapped field is sent, changed or not


def marker_of(database: str, organisation_id: str) -> str:
    """Returns the key an account carries (engine-rules 15)."""
    return f"wb-{database}-{organisation_id}"


def first_look(record: Record, known: Known, terms: Terms) -> tuple[Look, Decision | None]:
    """Returns what the row needs, or the decision when nothing is."""
    if record.is_deleted:
        return Look.DONE, Decision(record, Outcome.EXCLUDED, "deleted", "Deleted in Workbooks; the account stays untouched.")
    if known.has_create_in_doubt:
        return Look.DONE, Decision(
            record, Outcome.HELD, "in_doubt", "An account may have been created; Outreach is asked again by our key."
        )
    stored_id = record.fields.get(terms.columns.peer_id)
    bound = known.bound
    if bound is not None and not bound.is_tombstone:
        if bound.is_write_back_due:
            return Look.DONE, Decision(record, Outcome.HELD, "write_back_owed", "The account exists; its Id is still to be written back.")
        if is_blank(stored_id):
            return Look.DONE, _lost_id(record, bound)
        if str(stored_id) != bound.peer_id:
            return Look.LINK, None
        if terms.mapping.newer_than(bound.mapping_version):
            return Look.ACCOUNT, None  # a rule changed since: neither echo nor equal fields say that nothing is to do
        if record.version and record.version == bound.crm_version and not terms.looks_are_echo_blind:
            return Look.DONE, Decision(record, Outcome.UNCHANGED, "echo", "Our own write came back.")
        if not changed_fields(bound.crm_base, record.fields, terms.mapping.crm_fields) and not terms.looks_are_echo_blind:
            return Look.DONE, Decision(record, Outcome.UNCHANGED, "unmapped", "No mapped field changed.", base_only=True)
        return Look.ACCOUNT, None
    return (Look.NAMES if is_blank(stored_id) else Look.LINK), None


def _lost_id(record: Record, bound: Bound) -> Decision:
    case = CaseOpening(
        "duplicate",
        "id_blanked",
        f"This organisation was linked to account {bound.peer_id}; its Outreach Id was blanked in Workbooks. Link it again?",
        "Link it to the same account again, or choose another decision.",
        (Candidate(bound.peer_id, str(record.fields.get("name") or ""), "was linked to it"),),
    )
    return Decision(record, Outcome.DUPLICATE, "id_blanked", case.sentence, case=case)


def _origin(record: Record, terms: Terms, merge: Merge) -> dict[str, Any]:
    return {
        "system": record.ref.system,
        "name": str(record.fields.get("name") or "")[:255],
        "by": record.updated_by,
        "at": record.updated_at.isoformat() if record.updated_at else "",
        "mapping": terms.mapping.version,
        "rules": {name: write.rule.id for name, write in merge.to_peer.items()},
    }


def _explained(decision: Decision, merge: Merge, terms: Terms, users: Users) -> Decision:
    """Adds warnings and the owner who was not found to a decision."""
    owner = _unknown_owner(decision.record, terms, users)
    notes = tuple(w.sentence for w in merge.warnings) + tuple(f"{r.crm}: held back, blank" for r in merge.held_blanks)
    lost = [w for w in merge.to_peer.values() if w.has_loser]
    notes += tuple(f"{w.name}: {_shown(w.loser)}, entered in Outreach meanwhile, gave way; the journal keeps it" for w in lost)
    if owner:
        notes += (f"No Outreach user has the username {owner[:80]!r}; the owner is left as it is.",)
    held = tuple(r.peer for r in merge.held_blanks)
    return replace(decision, warnings=notes, owner_text=owner, is_without_owner=bool(owner), held_blanks=held)


def _unknown_owner(record: Record, terms: Terms, users: Users) -> str:
    """Returns who the organisation is assigned to when that is no username there, "" when it is or nobody is. It holds
    whether or not the owner was edited this time (S0.26)."""
    for rule in terms.mapping.rules:
        if rule.peer == OWNER:
            wanted = convert(rule.transform, record.fields.get(rule.crm), users=users)
            return wanted.text if isinstance(wanted, Unmatched) else ""
    return ""


def _refused(record: Record, merge: Merge) -> Decision | None:
    fatal = [w.sentence for w in merge.warnings if w.is_fatal]
    if not fatal:
        return None
    return failed(record, "value_refused", "; ".join(fatal), "Correct the value in Workbooks, then press Retry.")


def failed(record: Record, reason: str, sentence: str, remedy: str = "") -> Decision:
    """Returns the decision that flags a record with an error case (S0.21)."""
    return Decision(record, Outcome.FAILED, reason, sentence, case=CaseOpening("error", reason, sentence, remedy))


def decide_new(record: Record, matches: Sequence[Candidate], adoptable: Record | None, terms: Terms, users: Users) -> Decision:
    """Decides for an organisation without Id: our own account found by its key is adopted, a match by name is a
    duplicate (S0.17), otherwise an account is created (S0.27)."""
    if adoptable is not None:
        found = decide_link(record, adoptable, "", terms, users)
        return found if found.case is not None else replace(found, outcome=Outcome.CREATED, reason="adopted")
    if matches:
        names = ", ".join(f"{c.peer_id}{f' (bound to organisation {c.bound_to})' if c.bound_to else ''}" for c in matches[:5])
        sentence = f"{len(matches)} account{'s' if len(matches) > 1 else ''} in Outreach already with this name: {names}."
        case = CaseOpening("duplicate", "name_match", sentence, "Link it, or say that it is a different company.", tuple(matches))
        return Decision(record, Outcome.DUPLICATE, "name_match", sentence, case=case)
    side = SideState(base={}, now=record.fields, damaged=record.damaged)
    merge = merge_fields(terms.mapping, crm=side, peer=SideState(base={}, now={}), users=users)
    name = str(record.fields.get("name") or "")
    if refusal := _refused(record, merge):
        return refusal
    if "name" not in merge.to_peer:
        return failed(record, "value_refused", "The organisation has no name that Outreach can take.", "Give it a name, then press Retry.")
    intent = Intent(
        "create",
        "peer",
        ACCOUNT,
        str(record.ref),
        after=values_of(merge.to_peer),
        marker=marker_of(terms.database, record.ref.id),
        name_key=name_key(name),
        reason="No account has this name.",
        origin=_origin(record, terms, merge),
    )
    return _explained(Decision(record, Outcome.CREATED, "created", "", intent=intent), merge, terms, users)


def decide_bound(record: Record, bound: Bound, account: Record | None, terms: Terms, users: Users) -> Decision:
    """Decides for a bound organisation that changed: only fields that changed and differ are sent (S0.29)."""
    if account is None:
        sentence = f"Account {bound.peer_id} is not in Outreach any more. It is never created again silently."
        return failed(record, "account_gone", sentence, "Create it again, link another account, or stop syncing.")
    crm = SideState(base=bound.crm_base, now=record.fields, damaged=record.damaged)
    peer = SideState(base=bound.peer_base, now=account.fields)
    fresh = terms.mapping.newer_than(bound.mapping_version)
    merge = merge_fields(terms.mapping, crm=crm, peer=peer, users=users, fresh=fresh)
    if refusal := _refused(record, merge):
        return refusal
    if terms.restore is not None and merge.to_peer and terms.restore.forgot(bound, account):
        return _unknowable(record, account, merge)
    if terms.sends_whole_record:
        merge = merge_fields(terms.mapping, crm=SideState(base={}, now=record.fields), peer=SideState(base={}, now={}), users=users)
    if not merge.to_peer:
        quiet = Decision(record, Outcome.UNCHANGED, "equal", "Outreach already holds these values.", base_only=True)
        if terms.restore is not None:  # the peer's base, too, may be older than what was agreed
            quiet = replace(quiet, base_only=False, bind_to=account, reason="agreed_again")
        return _explained(quiet, merge, terms, users)
    intent = _update(record, account, merge, terms, "Changed in Workbooks since the last agreement.")
    return _explained(Decision(record, Outcome.UPDATED, "updated", "", intent=intent), merge, terms, users)


def _unknowable(record: Record, account: Record, merge: Merge) -> Decision:
    """Returns the error case for differences nobody can attribute after a restore: sending ours could set back what
    Outreach's people entered after an agreement we forgot."""
    fields = "; ".join(f"{n} is {_shown(w.value)} here and {_shown(w.before)} in Outreach" for n, w in list(merge.to_peer.items())[:10])
    sentence = f"Our database was restored from a backup, and nobody can tell which side of account {account.ref.id} is newer: {fields}."
    remedy = "Press Retry to send the values of Workbooks. To keep those of Outreach, enter them in Workbooks first."
    return failed(record, RESTORED, sentence, remedy)


def _shown(value: object) -> str:
    return "blank" if is_blank(value) else f"“{str(value)[:80]}”"  # type: ignore[arg-type]


def _update(record: Record, account: Record, merge: Merge, terms: Terms, reason: str) -> Intent:
    return Intent(
        "update",
        "peer",
        ACCOUNT,
        str(record.ref),
        after=values_of(merge.to_peer),
        before={name: write.before for name, write in merge.to_peer.items()},
        target_id=account.ref.id,
        version=account.version,
        reason=reason,
        origin=_origin(record, terms, merge),
        losers={name: write.loser for name, write in merge.to_peer.items() if write.has_loser},
    )


def decide_link(record: Record, account: Record | None, bound_elsewhere: str, terms: Terms, users: Users) -> Decision:
    """Decides for an organisation that names an account it is not bound to (engine-rules 16): missing account is an
    error, an account bound elsewhere a duplicate, else both are bound and differences follow *On first link* (D25); after
    a restore they are left."""
    stored = str(record.fields.get(terms.columns.peer_id) or "")
    if account is None:
        return failed(record, "account_gone", f"Outreach has no account {stored}.", "Correct the Outreach Id, or blank it and press Retry.")
    if bound_elsewhere:
        candidate = Candidate(
            account.ref.id, str(account.fields.get("name") or ""), "named by Outreach Id", dict(account.fields), bound_elsewhere
        )
        sentence = f"Account {account.ref.id} is already linked to organisation {bound_elsewhere}."
        case = CaseOpening("duplicate", "bound_elsewhere", sentence, "Move the link, or correct the Outreach Id.", (candidate,))
        return Decision(record, Outcome.DUPLICATE, "bound_elsewhere", sentence, case=case)
    merge = merge_fields(
        terms.mapping,
        crm=SideState(base={}, now=record.fields, damaged=record.damaged),
        peer=SideState(base=account.fields, now=account.fields),
        users=users,
    )
    if terms.restore is not None and account.fields.get(terms.marker_field) == marker_of(terms.database, record.ref.id):
        # We made it for this organisation and forgot: everything was equal once, so a difference is somebody's edit.
        if merge.to_peer:
            return replace(_unknowable(record, account, merge), bind_to=account)
        sentence = "Linked again; both sides hold the same."
        return _explained(Decision(record, Outcome.UNCHANGED, "agreed_again", sentence, bind_to=account), merge, terms, users)
    merge.warnings = [w for w in merge.warnings if not w.is_fatal]
    if terms.restore is not None:
        # It may have been linked since the backup, and what differs may have been left or typed then: it is listed.
        sentence = f"Linked; nothing is written{', what differs is listed' if merge.to_peer else ''}."
        merge.to_peer = {}
        return _explained(Decision(record, Outcome.UNCHANGED, LINKED_AGAIN, sentence, bind_to=account), merge, terms, users)
    merge.to_peer = {name: w for name, w in merge.to_peer.items() if _first_link_writes(terms.on_first_link, w.before)}
    if not merge.to_peer:
        return _explained(Decision(record, Outcome.UNCHANGED, LINKED, "Linked; nothing to write.", bind_to=account), merge, terms, users)
    intent = _update(record, account, merge, terms, "First link.")
    return _explained(Decision(record, Outcome.UPDATED, LINKED, "Linked.", intent=intent, bind_to=account), merge, terms, users)


def _first_link_writes(policy: str, before: object) -> bool:
    return policy == "crm" or (policy == "fill_blanks" and is_blank(before))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Asking:
    """The organisation that looks for its name: its id, the normalised name, and the marker its account would carry."""

    organisation_id: str
    key: str
    marker: str


def match_names(
    asking: Asking, accounts: Sequence[Record], remembered: frozenset[str], bound: ReadOnly[str, str], marker_field: str
) -> tuple[list[Candidate], Record | None]:
    """Returns the accounts whose normalised name is the one asked for, without those a person declared different, and
    our own account among them, recognised by its marker (D19: never a false duplicate) unless it is bound to another
    organisation by now, whose it then is."""
    candidates = []
    for account in accounts:
        is_free = bound.get(account.ref.id, asking.organisation_id) == asking.organisation_id
        is_ours = asking.marker and account.fields.get(marker_field) == asking.marker
        if is_ours and is_free and account.ref.id not in remembered:
            return [], account
        if name_key(account.fields.get("name")) == asking.key and account.ref.id not in remembered:
            candidates.append(
                Candidate(account.ref.id, str(account.fields.get("name")), "same name", dict(account.fields), bound.get(account.ref.id, ""))
            )
    return candidates, None


def same_domain(organisation: Fields, accounts: ReadOnly[str, Fields]) -> tuple[str, str]:
    """Returns the one account whose domain is the host of the organisation's web address, and that host; ("", "") when
    there is none or more than one (never guessed)."""
    host = _host_of(organisation.get("website"))
    if not host:
        return "", ""
    found = [i for i, f in accounts.items() if host in (_host_of(f.get("domain")), _host_of(f.get("websiteUrl")))]
    return (found[0], host) if len(found) == 1 else ("", "")


def _host_of(value: Any) -> str:
    try:
        host = convert("host of web address", value, users={})
    except CannotConvert:
        return ""
    return host.casefold() if isinstance(host, str) else ""
