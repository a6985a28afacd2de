"""Makes people of addresses that nobody knows, and their accounts: once each, whatever comes in between (S4.31 to S4.41).

The row of `MadePerson` is the claim of an address: who inserts it makes the person, everybody else waits, or takes up what was
made. It is written with the intent of the create, which carries a key of the address; a crash or a lost answer is settled by that
key (`people_recovery`). Nothing is ever written to a record that exists: creates meet the record of their key in Salesforce, so
that each is looked for before it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import IntegrityError, transaction

from connectors.contract import Record, Value
from connectors.errors import TakenForDuplicate
from reconciliation.core.autoresolve import NewAccount, NewPerson
from reconciliation.core.linking_facts import Account, Person, PersonKind
from reconciliation.core.new_people import NewKind
from reconciliation.core.operations import Intent
from reconciliation.engine import people_recovery
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Done
from reconciliation.engine.linking_lookups import ACCOUNT, Lookups
from reconciliation.engine.linking_terms import LinkTerms
from reconciliation.engine.people_recovery import PERSON_CONTACT, address_ref, domain_ref, marker
from reconciliation.models import MadePerson, Mailbox, Operation, UnresolvedPerson

REFUSED_FOR = timedelta(hours=24)  # what Salesforce refused is not tried again before
DAY = timedelta(hours=24)
MAKES = {NewKind.LEAD: "Lead", NewKind.CONTACT: "Contact", NewKind.PERSON_ACCOUNT: "Account"}  # the object that is written
KINDS = {NewKind.LEAD: PersonKind.LEAD, NewKind.CONTACT: PersonKind.CONTACT, NewKind.PERSON_ACCOUNT: PersonKind.PERSON_ACCOUNT}
BEING_MADE = "Another run is making it just now."
UNANSWERED = "Its create was sent and not answered; that is looked into before anything is sent twice."


@dataclass(slots=True)
class Making:
    """What became of people, by the key of their address: who is there now, why somebody is not made (the end of a sentence), and
    what another run has to settle first."""

    people: dict[str, Person] = field(default_factory=dict)
    accounts: list[Account] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    waits: dict[str, str] = field(default_factory=dict)
    why: dict[str, tuple[str, ...]] = field(default_factory=dict)
    new: set[str] = field(default_factory=set)  # those that this call made

    def is_open(self, key: str) -> bool:
        return key not in self.people and key not in self.refused and key not in self.waits


@dataclass(frozen=True, slots=True)
class _Desk:
    """What making needs beside the people."""

    context: RunContext
    mailbox: Mailbox | None
    terms: LinkTerms
    lookups: Lookups


def make(
    context: RunContext,
    mailbox: Mailbox | None,
    people: Sequence[NewPerson],
    terms: LinkTerms,
    lookups: Lookups,
    *,
    by_person: bool = False,
) -> Making:
    """Makes these people and returns what became of each; none in a plan. `by_person`: somebody ordered it, so that no brake and no
    earlier refusal holds it. Raises ConnectionTrouble, WritesStopped, LeaseLost; what was made by then is found again."""
    making = Making()
    if context.is_preview or not people:
        return making
    desk = _Desk(context, mailbox, terms, lookups)
    _take_up(desk, people, making, by_person=by_person)
    open_ = [person for person in people if making.is_open(person.key)]
    if not by_person:
        _hold(desk, open_, making)
    open_ = _look_before(desk, [person for person in open_ if making.is_open(person.key)], making, by_person=by_person)
    accounts = _make_accounts(desk, open_, making)
    _make_people(desk, [person for person in open_ if making.is_open(person.key)], accounts, making)
    return making


# --- what is there already ------------------------------------------------------------------------------------------------


def _take_up(desk: _Desk, people: Sequence[NewPerson], making: Making, *, by_person: bool) -> None:
    """Takes up what was made of these addresses before, and settles what was left behind."""
    context = desk.context
    keys = [person.key for person in people]
    rows = _claims(context, keys)
    domains = {person.account.domain for person in people if isinstance(person.account, NewAccount)}
    left = [address_ref(key) for key, row in rows.items() if row.state == MadePerson.State.MAKING]
    people_recovery.settle_left(context, [*left, *(domain_ref(domain) for domain in sorted(domains))])
    rows = _claims(context, keys) if left else rows
    made = {}
    for key, row in rows.items():
        if row.state == MadePerson.State.MAKING:
            operation = Operation.objects.filter(pk=row.operation_id).first()
            making.waits[key] = UNANSWERED if operation is not None and operation.state == Operation.State.SENT else BEING_MADE
        elif row.state == MadePerson.State.MADE:
            made[key] = row
        elif row.state == MadePerson.State.TAKEN_BACK and not by_person:
            making.refused[key] = "what was made of it was taken back by a person"
        elif row.state == MadePerson.State.REFUSED and not by_person and row.made_at > context.wiring.now() - REFUSED_FOR:
            making.refused[key] = row.reason
    _follow(desk, made, making, by_person=by_person)


def _claims(context: RunContext, keys: Sequence[str]) -> dict[str, MadePerson]:
    found: dict[str, MadePerson] = {}
    for start in range(0, len(keys), people_recovery.ROWS_AT_ONCE):
        some = keys[start : start + people_recovery.ROWS_AT_ONCE]
        rows = MadePerson.objects.filter(connection=context.crm.connection, address__in=some)
        found.update({row.address: row for row in rows})
    return found


def _follow(desk: _Desk, made: Mapping[str, MadePerson], making: Making, *, by_person: bool = False) -> None:
    """Finds what stands today for people who were made and do not have their address any more. One that was deleted is not made
    again by itself: who deleted it does not want it back."""
    for object_type in sorted({row.object_type for row in made.values()}):
        rows = {key: row for key, row in made.items() if row.object_type == object_type}
        living = _living(desk, object_type, [row.target_id for row in rows.values() if row.target_id])
        for key, row in rows.items():
            person = living.get(row.target_id)
            if person is None and by_person:
                MadePerson.objects.filter(pk=row.pk, state=MadePerson.State.MADE).update(state=MadePerson.State.TAKEN_BACK)
            elif person is None:
                what = "Person Account" if row.kind == NewKind.PERSON_ACCOUNT else row.kind.lower()
                making.refused[key] = f"the {what} that was made of it was deleted, or is not to be seen"
            else:
                making.people[key] = person
                making.why[key] = (f"{key} is {person.id}, which was made of it earlier.",)
                MadePerson.objects.filter(pk=row.pk, record_id="").update(record_id=person.id)


def _living(desk: _Desk, object_type: str, ids: Sequence[str]) -> dict[str, Person]:
    """Returns the people who stand for these records now, merged or converted ones followed, by the id that was asked for."""
    connector = desk.context.crm.connector
    stands = connector.survivors(object_type, ids) if ids else {}  # type: ignore[attr-defined]  # of a CRM that merges
    refs = {id_: survivor.ref for id_, survivor in stands.items() if survivor.ref is not None}
    accounts = sorted({ref.id for ref in refs.values() if ref.object_type == ACCOUNT})
    contacts = {r.ref.id: str(r.fields.get(PERSON_CONTACT) or "") for r in _read_contacts(desk, accounts)}
    own = {id_: contacts.get(ref.id, "") if ref.object_type == ACCOUNT else ref.id for id_, ref in refs.items()}
    people = desk.lookups.people_by_id(sorted({id_ for id_ in own.values() if id_}))
    return {id_: people[person] for id_, person in own.items() if person in people}


def _read_contacts(desk: _Desk, accounts: Sequence[str]) -> list[Record]:
    return desk.context.crm.connector.read(ACCOUNT, accounts, [PERSON_CONTACT]) if accounts else []


def _hold(desk: _Desk, people: Sequence[NewPerson], making: Making) -> None:
    """Keeps back whom a person ignores, and what goes beyond the number that is made in a day without a look (engine-rules 18)."""
    if not people:
        return
    keys = [person.key for person in people]
    ignored = UnresolvedPerson.objects.filter(mailbox=desk.mailbox, address__in=keys, state=UnresolvedPerson.State.DISMISSED)
    making.refused |= dict.fromkeys(ignored.values_list("address", flat=True), "a person chose to ignore it")
    since = desk.context.wiring.now() - DAY
    made = MadePerson.objects.filter(connection=desk.context.crm.connection, mailbox=desk.mailbox, made_at__gte=since)
    room = desk.terms.most_made - made.exclude(state=MadePerson.State.REFUSED).count()
    for key in [key for key in keys if making.is_open(key)][max(0, room) :]:
        making.refused[key] = f"{desk.terms.most_made} people were made for this mailbox within a day; the rest is for a person to look at"


def _look_before(desk: _Desk, people: Sequence[NewPerson], making: Making, *, by_person: bool) -> list[NewPerson]:
    """Asks for the keys of these people before anything is sent: a create would write to the record that carries its key. Returns
    whom nobody made. Our tables forget what a backup did not know, and what was forgotten on purpose. A person may order somebody
    who was deleted."""
    context = desk.context
    adopted: dict[str, MadePerson] = {}
    for kind in NewKind:
        asked = {marker(context, address_ref(person.key)): person for person in people if person.kind is kind}
        found = _marked(context, MAKES[kind], list(asked), [PERSON_CONTACT] if kind is NewKind.PERSON_ACCOUNT else [])
        meant = {key: record for key, record in found.items() if key in asked and not (by_person and record.is_deleted)}
        adopted |= {asked[key].key: _adopt(desk, asked[key], record) for key, record in meant.items()}
    _follow(desk, adopted, making)
    return [person for person in people if person.key not in adopted]


def _marked(context: RunContext, object_type: str, markers: Sequence[str], columns: Sequence[str]) -> dict[str, Record]:
    """Returns the records that carry these keys, by key, living ones before deleted ones."""
    connector = context.crm.connector
    name = connector.marker_field_of(object_type)  # type: ignore[attr-defined]  # of a CRM with keys
    if not name or not markers:
        return {}
    context.lease.guard(connector.request_timeout)
    found = connector.find_marked(object_type, markers, columns, since=context.wiring.now() - DAY)
    return {str(r.fields.get(name)): r for r in sorted(found, key=lambda r: not r.is_deleted)}


def _adopt(desk: _Desk, person: NewPerson, record: Record) -> MadePerson:
    values = _row_values(desk, person)
    row, _ = MadePerson.objects.update_or_create(connection=desk.context.crm.connection, address=person.key, defaults=values)
    people_recovery.finish(row, record)
    return row


# --- accounts -------------------------------------------------------------------------------------------------------------


def _make_accounts(desk: _Desk, people: Sequence[NewPerson], making: Making) -> dict[str, str]:
    """Returns domain -> id of the accounts that these people belong to and that nobody had; "" where Salesforce refused one, or
    somebody deleted it: they are made without. Who belongs to one that is being made elsewhere waits."""
    context = desk.context
    wanted = {p.account.domain: p.account for p in people if isinstance(p.account, NewAccount)}
    markers = {domain: marker(context, domain_ref(domain)) for domain in wanted}
    there = _marked(context, ACCOUNT, list(markers.values()), [])
    ids = {domain: "" if there[m].is_deleted else there[m].ref.id for domain, m in markers.items() if m in there}
    ids |= _made_without_key(context, list(wanted)) if not context.crm.connector.marker_field_of(ACCOUNT) else {}  # type: ignore[attr-defined]
    new = [account for domain, account in wanted.items() if domain not in ids]
    operations = context.executor.intend([_account_intent(desk, account, markers[account.domain]) for account in new])
    by_source = {str(domain_ref(account.domain)): account.domain for account in new}
    in_doubt: dict[str, str] = {a.domain: BEING_MADE for a, op in zip(new, operations, strict=True) if op is None}

    def settle(done: list[Done]) -> None:
        for item in done:
            domain = by_source[item.operation.source_ref]
            if item.error is None and item.record is not None:
                ids[domain] = item.record.ref.id
            elif item.is_in_doubt or item.is_alone:
                in_doubt[domain] = UNANSWERED
            else:
                ids[domain] = ""

    context.executor.send("crm", [op for op in operations if op is not None], settle)
    making.accounts += [Account(ids[d], account.name, account.website) for d, account in wanted.items() if ids.get(d)]
    for person in people:
        if isinstance(person.account, NewAccount) and person.account.domain in in_doubt:
            making.waits[person.key] = in_doubt[person.account.domain]
    return ids


def _made_without_key(context: RunContext, domains: Sequence[str]) -> dict[str, str]:
    """Returns domain -> id of the accounts that any run made of these domains, by the journal; "" for one that was deleted since.
    What this run looked up may be older than they are, and where there is no field for keys, nothing else tells (engine-rules 13)."""
    of_source = {str(domain_ref(domain)): domain for domain in domains}
    made = Operation.objects.filter(
        connection=context.crm.connection,
        kind=Operation.Kind.CREATE,
        state=Operation.State.CONFIRMED,
        object_type=ACCOUNT,
        source_ref__in=list(of_source),
    )
    ids = {of_source[source]: id_ for source, id_ in made.order_by("pk").values_list("source_ref", "target_id")}
    context.lease.guard(context.crm.connector.request_timeout)
    found = context.crm.connector.read(ACCOUNT, sorted(set(ids.values())), ["Name"]) if ids else []
    living = {record.ref.id for record in found if not record.is_deleted}
    return {domain: id_ if id_ in living else "" for domain, id_ in ids.items()}


def _account_intent(desk: _Desk, account: NewAccount, key: str) -> Intent:
    return Intent(
        "create",
        "crm",
        ACCOUNT,
        str(domain_ref(account.domain)),
        {"Name": account.name, "Website": account.website, **_owned(desk)},
        marker=key,
        reason=f"No account has the domain {account.domain}, which a new contact's address belongs to.",
        origin={"name": account.name},
    )


def _owned(desk: _Desk) -> dict[str, Value]:
    return {"OwnerId": desk.terms.user.id} if desk.terms.user.id else {}


# --- people ---------------------------------------------------------------------------------------------------------------


def _make_people(desk: _Desk, people: Sequence[NewPerson], accounts: Mapping[str, str], making: Making) -> None:
    for object_type in sorted(set(MAKES.values())):
        some = {person.key: person for person in people if MAKES[person.kind] == object_type}
        if not some:
            continue
        claimed = _claim(desk, some, accounts, making)

        def settle(
            done: list[Done], claimed: Mapping[str, tuple[MadePerson, Operation]] = claimed, some: Mapping[str, NewPerson] = some
        ) -> None:
            for item in done:
                key = item.operation.source_ref.removeprefix(f"{people_recovery.SOURCE}:{people_recovery.ADDRESS}:")
                _settle(desk, some[key], claimed[key][0], item, making)

        desk.context.executor.send("crm", [operation for _, operation in claimed.values()], settle)
        _read_what_is_missing(desk, claimed, making)


def _claim(
    desk: _Desk, people: Mapping[str, NewPerson], accounts: Mapping[str, str], making: Making
) -> dict[str, tuple[MadePerson, Operation]]:
    """Claims these addresses together with the intents of their creates. Who was claimed by somebody else meanwhile waits."""
    claimed: dict[str, tuple[MadePerson, Operation]] = {}
    with transaction.atomic():
        rows = {key: row for key, person in people.items() if (row := _claim_one(desk, person)) is not None}
        operations = desk.context.executor.intend([_intent(desk, people[key], accounts) for key in rows])
        for (key, row), operation in zip(rows.items(), operations, strict=True):
            if operation is None:
                row.delete()
                continue
            row.operation_id = operation.pk
            row.save(update_fields=["operation_id"])
            claimed[key] = (row, operation)
    making.waits |= {key: BEING_MADE for key in people if key not in claimed}
    return claimed


def _claim_one(desk: _Desk, person: NewPerson) -> MadePerson | None:
    connection, values = desk.context.crm.connection, _row_values(desk, person)
    free = MadePerson.objects.filter(connection=connection, address=person.key)
    over = (MadePerson.State.REFUSED, MadePerson.State.TAKEN_BACK)
    if free.filter(state__in=over).update(**values):
        return free.get()
    try:
        with transaction.atomic():
            return MadePerson.objects.create(connection=connection, address=person.key, **values)
    except IntegrityError:
        return None


def _row_values(desk: _Desk, person: NewPerson) -> dict[str, object]:
    return {
        "mailbox": desk.mailbox,
        "state": MadePerson.State.MAKING,
        "kind": person.kind.value,
        "record_id": "",
        "account_id": "",
        "name": _called(person)[:255],
        "operation_id": None,
        "item": {"id": person.items[0]} if person.items else {},
        "why": list(person.why),
        "missing": ",".join(person.missing)[:255],
        "reason": "",
        "made_at": desk.context.wiring.now(),
        "completed_at": None,
        "completed_by_name": "",
    }


def _called(person: NewPerson) -> str:
    return " ".join(name for part in ("FirstName", "LastName") if (name := str(person.fields.get(part) or "")))


def _intent(desk: _Desk, person: NewPerson, accounts: Mapping[str, str]) -> Intent:
    account = (
        accounts.get(person.account.domain, "") if isinstance(person.account, NewAccount) else person.account.id if person.account else ""
    )
    after: dict[str, Value] = {**person.fields, **({"AccountId": account} if account else {}), **_owned(desk)}
    if person.kind is NewKind.PERSON_ACCOUNT and desk.terms.person_record_type:
        after["RecordTypeId"] = desk.terms.person_record_type
    return Intent(
        "create",
        "crm",
        MAKES[person.kind],
        str(address_ref(person.key)),
        after,
        marker=marker(desk.context, address_ref(person.key)),
        reason=" ".join(person.why),
        origin={"name": _called(person)[:255]},
        also_read=(PERSON_CONTACT,) if person.kind is NewKind.PERSON_ACCOUNT else (),
    )


def _settle(desk: _Desk, person: NewPerson, row: MadePerson, item: Done, making: Making) -> None:
    """Writes down what became of one create, in the transaction that settles it."""
    if item.error is None and item.record is not None:
        people_recovery.finish(row, item.record)
        making.people[person.key] = _person(person, row, item)
        making.accounts += [person.account] if isinstance(person.account, Account) else []
        making.why[person.key] = person.why
        making.new.add(person.key)
    elif item.is_in_doubt:
        making.waits[person.key] = UNANSWERED
    elif item.operation.state == Operation.State.VOID:
        row.delete()
        making.waits[person.key] = f"It was not made: {item.error}. It is tried again."
    else:
        row.state, row.reason = MadePerson.State.REFUSED, _refusal(item.error)
        row.save(update_fields=["state", "reason"])
        making.refused[person.key] = row.reason


def _person(person: NewPerson, row: MadePerson, item: Done) -> Person:
    account = str(item.operation.after.get("AccountId") or "") if person.kind is NewKind.CONTACT else row.account_id
    owner = str(item.operation.after.get("OwnerId") or "")
    return Person(KINDS[person.kind], row.record_id, _called(person), (person.key,), account, owner_id=owner)


def _refusal(error: Exception | None) -> str:
    said = str(error).rstrip(".")
    if isinstance(error, TakenForDuplicate) and error.refs:
        return f"Salesforce takes it for a duplicate of {', '.join(ref.id for ref in error.refs[:5])}: {said}"
    return f"Salesforce refused it: {said}"


def _read_what_is_missing(desk: _Desk, claimed: Mapping[str, tuple[MadePerson, Operation]], making: Making) -> None:
    """Reads the contacts of Person Accounts whose answer did not name them."""
    rows = {row.account_id: (key, row) for key, (row, _) in claimed.items() if row.account_id and not row.record_id}
    for record in _read_contacts(desk, sorted(rows)):
        key, row = rows[record.ref.id]
        people_recovery.finish(row, record)
        person = making.people[key]
        making.people[key] = Person(person.kind, row.record_id, person.name, person.addresses, person.account_id, owner_id=person.owner_id)
    for key, row in rows.values():
        if not row.record_id:
            making.people.pop(key, None)
            making.waits[key] = "Its Person Account was made; its contact could not be read yet."
