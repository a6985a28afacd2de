"""What Salesforce holds of the people, accounts and opportunities that a page of items names, in the fewest calls.

Answers what `core.linking_needs` asks for into `Known`. What was asked for once in a run is kept, up to MOST_KEPT addresses; then
it begins anew, between two pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time

import idna

from connectors.contract import All, AnyOf, Condition, FindsAccounts, Op, Page, Record, Test
from reconciliation.core.linking_facts import Account, Known, Opportunity, Person, PersonKind
from reconciliation.core.linking_needs import Needs
from reconciliation.core.values import name_key
from reconciliation.engine.context import RunContext
from reconciliation.engine.linking_terms import LinkTerms
from reconciliation.models import Mailbox, UnresolvedPerson

CONTACT, LEAD, ACCOUNT, OPPORTUNITY, ROLE = "Contact", "Lead", "Account", "Opportunity", "OpportunityContactRole"
PREFIXES = {CONTACT: "003", LEAD: "00Q"}  # what the ids of people begin with
IS_PERSON = "IsPersonAccount"  # a field of organisations with Person Accounts only
PERSON_COLUMNS = {CONTACT: ("Name", "AccountId", "OwnerId", "LastActivityDate"), LEAD: ("Name", "OwnerId", "LastActivityDate")}
ACCOUNT_COLUMNS = ("Name", "Website", "ParentId")
OPPORTUNITY_COLUMNS = ("Name", "AccountId", "OwnerId", "IsClosed", "CreatedDate")
ADDRESSES_A_QUERY = 100
ROWS_A_LOOK = 500
MOST_KEPT = 20_000  # addresses, of one run


class Lookups:
    """What one run knows of the CRM's people, and how it asks for more."""

    def __init__(self, context: RunContext, terms: LinkTerms, mailbox: Mailbox | None) -> None:
        self.known = Known()
        self._context = context
        self._terms = terms
        self._mailbox = mailbox
        self._has_person_accounts: bool | None = None

    def begin_page(self) -> None:
        """Forgets what the run knows once that is too much to be kept."""
        if len(self.known.people) > MOST_KEPT:
            self.known = Known()

    def answer(self, wanted: Needs) -> None:
        """Adds what is wanted to what is known. Raises ConnectorError; nothing of this round is known then."""
        people = self._by_address(list(wanted.addresses))
        by_id = self._by_id(list(wanted.people))
        accounts = self._accounts(list(wanted.accounts))
        by_domain = self._by_domain(list(wanted.domains))
        by_name = self._by_name(list(wanted.names))
        opportunities = self._opportunities(list(wanted.opportunities))
        known = self.known
        self.known = Known(
            {**known.people, **people},
            {**known.by_id, **by_id},
            {**known.accounts, **accounts},
            {**known.by_domain, **by_domain},
            {**known.by_name, **by_name},
            {**known.opportunities, **opportunities},
        )

    def add(self, people: Mapping[str, Person], accounts: Sequence[Account]) -> None:
        """Adds people who were made, by the key of their address, and their accounts; what else is known of a new account's
        domain is asked for again when somebody needs it."""
        known = self.known
        own = {key: (*(p for p in known.people.get(key, ()) if p.id != person.id), person) for key, person in people.items()}
        new = {account.id: account for account in accounts}
        domains = {self._terms.rules.domain_of_site(account.website) for account in accounts}
        by_domain = {domain: rows for domain, rows in known.by_domain.items() if domain not in domains}
        names = {name_key(account.name) for account in accounts}
        by_name = {name: rows for name, rows in known.by_name.items() if name not in names}
        self.known = Known({**known.people, **own}, known.by_id, {**known.accounts, **new}, by_domain, by_name, known.opportunities)

    # --- people ---------------------------------------------------------------------------------------------------------

    def _by_address(self, keys: Sequence[str]) -> dict[str, tuple[Person, ...]]:
        if not keys:
            return {}
        found: dict[str, list[Person]] = {key: [] for key in keys}
        for object_type in PERSON_COLUMNS:
            for record in self._with_addresses(object_type, keys):
                person = self._person(record)
                for key in dict.fromkeys(self._terms.rules.key(address) for address in person.addresses):
                    if key in found:
                        found[key].append(person)
        return {key: tuple(rows) for key, rows in (found | self._chosen_by_people(found)).items()}

    def _with_addresses(self, object_type: str, keys: Sequence[str]) -> Iterable[Record]:
        """Yields the people of a type who have one of these addresses in any of their fields for addresses, once each."""
        fields, columns = self._terms.email_fields[object_type], self._columns(object_type)
        asked = list(dict.fromkeys(text for key in keys for text in spellings(key)))
        size = max(1, ADDRESSES_A_QUERY // len(fields))
        seen: set[str] = set()
        for start in range(0, len(asked), size):
            part = tuple(asked[start : start + size])
            for page in self._scan(object_type, AnyOf(tuple(Test(field, Op.IN, part) for field in fields)), columns):
                for record in page.records:
                    if not record.is_deleted and record.ref.id not in seen:
                        seen.add(record.ref.id)
                        yield record

    def _chosen_by_people(self, found: Mapping[str, list[Person]]) -> dict[str, list[Person]]:
        """Returns, for addresses that the CRM does not know, the records that people said they are."""
        unknown = [key for key, rows in found.items() if not rows]
        chosen = chosen_records(self._mailbox, unknown)
        if not chosen:
            return {}
        people = self._by_id(sorted(set(chosen.values())))
        return {key: [person] for key, id_ in chosen.items() if (person := people.get(id_)) is not None}

    def _by_id(self, ids: Sequence[str]) -> dict[str, Person | None]:
        found: dict[str, Person | None] = dict.fromkeys(ids)
        for object_type, prefix in PREFIXES.items():
            asked = [id_ for id_ in ids if id_.startswith(prefix)]
            for record in self._read(object_type, asked, self._columns(object_type)) if asked else ():
                if not record.is_deleted:
                    found[record.ref.id] = self._person(record)
        return {id_: found[id_] for id_ in ids}

    def people_by_id(self, ids: Sequence[str]) -> dict[str, Person]:
        """Returns the living people among these ids."""
        return {id_: person for id_, person in self._by_id(ids).items() if person is not None}

    def _columns(self, object_type: str) -> list[str]:
        names = [*PERSON_COLUMNS[object_type], *self._terms.email_fields[object_type]]
        return [*names, IS_PERSON] if object_type == CONTACT and self.has_person_accounts else names

    @property
    def has_person_accounts(self) -> bool:
        """Whether the organisation knows Person Accounts: the field is there in no other. What is kept of its description says it,
        else one description a run."""
        if self._has_person_accounts is None:
            kept = (self._context.crm.connection.schema_cache or {}).get(CONTACT)
            self._has_person_accounts = IS_PERSON in (kept or self._context.crm.connector.schema(CONTACT).attributes)
        return self._has_person_accounts

    def _person(self, record: Record) -> Person:
        said = record.fields
        is_lead = record.ref.object_type == LEAD
        kind = PersonKind.LEAD if is_lead else PersonKind.PERSON_ACCOUNT if said.get(IS_PERSON) is True else PersonKind.CONTACT
        return Person(
            kind,
            record.ref.id,
            name=_text(record, "Name"),
            addresses=tuple(text for name in self._terms.email_fields[record.ref.object_type] if (text := _text(record, name))),
            account_id=_text(record, "AccountId"),
            is_converted=said.get("IsConverted") is True,
            converted_contact_id=_text(record, "ConvertedContactId"),
            owner_id=_text(record, "OwnerId"),
            modified_at=record.edited_at,
            active_at=_day(said.get("LastActivityDate")),
        )

    # --- records --------------------------------------------------------------------------------------------------------

    def _accounts(self, ids: Sequence[str]) -> dict[str, Account | None]:
        found: dict[str, Account | None] = dict.fromkeys(ids)
        for record in self._read(ACCOUNT, ids, ACCOUNT_COLUMNS) if ids else ():
            if not record.is_deleted:
                found[record.ref.id] = _account(record)
        return {id_: found[id_] for id_ in ids}

    def _by_domain(self, domains: Sequence[str]) -> dict[str, tuple[Account, ...]]:
        found: dict[str, list[Account]] = {domain: [] for domain in domains}
        asked = list(dict.fromkeys(text for domain in domains for text in spellings(domain)))
        for record in self._finder().accounts_at(asked) if asked else ():
            account = _account(record)
            rows = found.get(self._terms.rules.domain_of_site(account.website))
            if rows is not None and not record.is_deleted:
                rows.append(account)
        return {domain: tuple(sorted(rows, key=lambda a: a.id)) for domain, rows in found.items()}

    def _by_name(self, names: Sequence[str]) -> dict[str, tuple[Account, ...]]:
        found = self._finder().accounts_named(names) if names else {}
        return {name: tuple(_account(record) for record in found.get(name, ())) for name in names}

    def _opportunities(self, accounts: Sequence[str]) -> dict[str, tuple[Opportunity, ...]]:
        """Returns the user's open opportunities of these accounts."""
        found: dict[str, list[Opportunity]] = {account: [] for account in accounts}
        user = self._terms.user.id
        if accounts and user:
            also = All((Test("OwnerId", Op.EQ, user), Test("IsClosed", Op.FALSE)))
            rows = [_opportunity(record) for record in self._find(OPPORTUNITY, "AccountId", accounts, OPPORTUNITY_COLUMNS, also)]
            roles = self._roles([o.id for o in _of_one_instant(rows)])
            for row in rows:
                if row.account_id in found:
                    found[row.account_id].append(_with_roles(row, roles))
        return {account: tuple(found[account]) for account in accounts}

    def _roles(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Returns the contacts with a role in opportunities that nothing else tells apart."""
        found: dict[str, list[str]] = {}
        for record in self._find(ROLE, "OpportunityId", ids, ("OpportunityId", "ContactId")) if ids else ():
            found.setdefault(_text(record, "OpportunityId"), []).append(_text(record, "ContactId"))
        return found

    # --- calls ----------------------------------------------------------------------------------------------------------

    def _scan(self, object_type: str, where: AnyOf, columns: Sequence[str]) -> Iterable[Page]:
        self._guard()
        return self._context.crm.connector.scan(object_type, where=where, columns=columns)

    def _read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        self._guard()
        return self._context.crm.connector.read(object_type, ids, columns)

    def _find(
        self, object_type: str, field: str, values: Sequence[str], columns: Sequence[str], also: Condition | None = None
    ) -> list[Record]:
        self._guard()
        return self._context.crm.connector.find(object_type, field, values, columns, also=also)

    def _finder(self) -> FindsAccounts:
        self._guard()
        return self._context.crm.connector  # type: ignore[return-value]  # of a CRM with accounts

    def _guard(self) -> None:
        self._context.lease.guard(self._context.crm.connector.request_timeout)


def chosen_records(mailbox: Mailbox | None, keys: Sequence[str]) -> dict[str, str]:
    """Returns address -> id of the record that a person said it is: of this mailbox, or of all."""
    found: dict[str, str] = {}
    for start in range(0, len(keys), ROWS_A_LOOK):
        some = keys[start : start + ROWS_A_LOOK]
        rows = UnresolvedPerson.objects.filter(state=UnresolvedPerson.State.LINKED, address__in=some).exclude(crm_id="")
        for row in rows.order_by("decided_at"):
            is_own = mailbox is not None and row.mailbox_id == mailbox.pk
            if is_own or (row.is_for_all and row.address not in found):
                found[row.address] = row.crm_id
    return found


def spellings(text: str) -> tuple[str, ...]:
    """Returns an address or a domain in the ways it may be written in a record: in ASCII, and with the letters that stands for."""
    local, at, domain = text.rpartition("@")
    if "xn--" not in domain:
        return (text,)
    try:
        return (text, f"{local}{at}{idna.decode(domain)}")
    except (idna.IDNAError, UnicodeError):
        return (text,)


def _text(record: Record, name: str) -> str:
    value = record.fields.get(name)
    return value.strip() if isinstance(value, str) and name not in record.damaged else ""


def _day(value: object) -> datetime | None:
    return datetime.combine(value, time(), UTC) if isinstance(value, date) and not isinstance(value, datetime) else None


def _account(record: Record) -> Account:
    return Account(record.ref.id, _text(record, "Name"), _text(record, "Website"), _text(record, "ParentId"))


def _opportunity(record: Record) -> Opportunity:
    made = record.fields.get("CreatedDate")
    return Opportunity(
        record.ref.id,
        name=_text(record, "Name"),
        account_id=_text(record, "AccountId"),
        owner_id=_text(record, "OwnerId"),
        is_closed=record.fields.get("IsClosed") is True,
        created_at=made if isinstance(made, datetime) else None,
        modified_at=record.edited_at,
    )


def _of_one_instant(rows: Sequence[Opportunity]) -> list[Opportunity]:
    """Returns the opportunities that another one was made and changed at the same instant as: an import makes many at once."""
    at: dict[tuple[datetime | None, datetime | None], list[Opportunity]] = {}
    for row in rows:
        at.setdefault((row.created_at, row.modified_at), []).append(row)
    return [row for same in at.values() if len(same) > 1 for row in same]


def _with_roles(row: Opportunity, roles: Mapping[str, list[str]]) -> Opportunity:
    return replace(row, contact_ids=tuple(roles[row.id])) if row.id in roles else row
