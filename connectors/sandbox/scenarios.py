"""The worlds a sandbox can start from. Deterministic from the world's seed."""

from __future__ import annotations

import csv
import io
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from connectors.sandbox.outreach.done import fill_activities
from connectors.sandbox.salesforce.switches import MOST_ROWS as MOST_ROWS_A_PAGE
from connectors.sandbox.salesforce.values import show_instant
from connectors.sandbox.wire import read_id
from connectors.sandbox.workbooks.codec import show_datetime
from connectors.sandbox.workbooks.metadata import TYPES

if TYPE_CHECKING:
    from connectors.sandbox.world import World

SYNC, ERROR = "cf_organisation_sync_to_outreach", "cf_organisation_outreach_sync_error"
DUPLICATE, PEER_ID = "cf_organisation_outreach_duplicate", "cf_organisation_outreach_id"
USERS = (
    ("Priya_Nair", "Priya", "Nair"),
    ("Tom_Becker", "Tom", "Becker"),
    ("Sync_Service", "Sync", "Service"),
    ("aisha.khan", "Aisha", "Khan"),
)
# Whose mailboxes mirror Salesforce contacts.
MAILBOX_USERS = (("Ann", "Archer"), ("Bob", "Baker"), ("Gina", "Grant"), ("Hugo", "Hughes"))
ON_PREMISES = (("emma@example.test", "Emma", "Ellis"), ("erik@example.test", "Erik", "Evans"))
JOINER = ("Ivy", "Ingram")  # of the demo: her first run is looked at before anything is written
# Exactly an Outreach username, by case only, and not at all.
OWNERS = ("Priya_Nair", "Tom_Becker", "aisha.khan", "tom_becker", "PRIYA_NAIR", "Jo Admin", "")
MAILBOXES = (("ann@example.test", "Ann", "Archer"), ("bob@example.test", "Bob", "Baker"))
CONTACTS_OF_EACH = 8  # of those, in Salesforce
MOST_ROWS = 5_000_000
LONGEST_CELL = 64 * 1024 * 1024  # a row with a long field is refused by Workbooks' rule, not by the CSV reader's
TITLES = ("Buyer", "Head of Purchasing", "Operations Manager", "Engineer", None)
HOSTILE = (
    "Smith, Jones & Sons, Ltd",
    'The "Quoted" Company',
    "O'Brien's Brewery",
    "Müller & Söhne GmbH",
    "北京示例科技有限公司",
    "شركة المثال للتجارة",
    "Rocket 🚀 Launch Café",
    "<script>alert('x')</script> Ltd",
    "=SUM(A1:A9) Holdings",
    "Comma, Dot.. and \\ Backslash",
    "L" * 255,
)
_FIRST = [
    "North",
    "South",
    "East",
    "West",
    "Blue",
    "Green",
    "Silver",
    "Golden",
    "Bright",
    "Clear",
    "Stone",
    "River",
    "Harbour",
    "Forest",
    "Summit",
    "Valley",
    "Iron",
    "Copper",
    "Amber",
    "Crown",
]
_SECOND = ["wind", "field", "bridge", "gate", "works", "stream", "wood", "mark", "light", "ford"]
_KIND = [
    "Pumps",
    "Logistics",
    "Foods",
    "Textiles",
    "Software",
    "Engineering",
    "Media",
    "Clinics",
    "Energy",
    "Plastics",
    "Printing",
    "Tools",
]
_TOWNS = ["Reading", "Leeds", "Bristol", "York", "Derby", "Bath", "Exeter", "Norwich", "Swansea", "Perth"]
_PEOPLE = ["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gina", "Hugo", "Iris", "Jack", "Kira", "Liam", "Mona", "Noah", "Olga", "Paul"]
_LAST = [
    "Byrne",
    "Clarke",
    "Diaz",
    "Evans",
    "Foster",
    "Grant",
    "Hughes",
    "Ito",
    "Jones",
    "Kaur",
    "Lopez",
    "Moore",
    "Novak",
    "Okafor",
    "Patel",
    "Quinn",
]


def fill(world: World, scenario: str) -> None:
    """Fills a fresh world. Raises ValueError for a scenario that does not exist."""
    kind, size = read_scenario(scenario)
    _users(world)
    fill_microsoft(world)
    fill_google(world)
    fill_exchange(world)
    if kind != "empty":  # an empty world is for tests, which see paging with a few records
        world.salesforce.set_switches({"page_size": MOST_ROWS_A_PAGE})
        fill_mailbox_users(world)
    if kind == "demo":
        _demo(world)
    elif kind == "bench":
        _bench(world, size)
    elif kind == "bound":
        _bound(world, size)


def read_scenario(scenario: str) -> tuple[str, int]:
    """Returns the kind of a scenario and its size. Raises ValueError for one that does not exist."""
    kind, colon, size = scenario.partition(":")
    number = read_id(size)
    if kind in ("bench", "bound") and number is not None and number <= MOST_ROWS:
        return kind, number
    if kind in ("demo", "empty") and not colon:
        return kind, 0
    raise ValueError(f"there is no scenario {scenario[:40]!r}; take demo, empty, bench:N or bound:N with N up to {MOST_ROWS}")


def fill_salesforce_users(world: World) -> None:
    """Makes Salesforce users with the e-mails of the Outreach users; the one our app acts as is there already."""
    for username, first, last in USERS:
        if first != "Sync":
            email = f"{first.lower()}@seller.example"
            values = {"Username": f"{username.lower()}@seller.example", "FirstName": first, "LastName": last, "Email": email}
            world.salesforce.create_record("User", values)


def fill_microsoft(world: World) -> None:
    """Makes two mailboxes with nothing in them."""
    for address, first, last in MAILBOXES:
        world.microsoft.create_record("user", {"mail": address, "givenName": first, "surname": last, "displayName": f"{first} {last}"})


def _personal_contacts(world: World) -> None:
    """Gives the first mailbox contacts of its own, which no sync may touch."""
    for n, first in enumerate(_PEOPLE[:10]):
        person = {"givenName": first, "surname": _LAST[n], "emails": [f"{first}.{_LAST[n]}@home.example".lower()]}
        more = {"mobilePhone": f"+44 7700 9000{n:02d}", "categories": ["Family"] if n % 3 == 0 else []}
        world.microsoft.create_record("contact", {"mailbox": MAILBOXES[0][0], **person, **more})


def fill_mailbox_users(world: World) -> dict[str, str]:
    """Makes the Salesforce users whose mailboxes mirror contacts. Returns their ids by e-mail."""
    made = {}
    for first, last in MAILBOX_USERS:
        email = f"{first.lower()}@example.test"
        values = {"Username": email, "FirstName": first, "LastName": last, "Email": email, "Alias": first.lower()}
        made[email] = world.salesforce.create_record("User", values)["Id"]
    return made


def fill_google(world: World) -> None:
    """Makes two Google mailboxes without contacts."""
    for first in ("Gina", "Hugo"):
        world.google.create_record("user", {"email": f"{first.lower()}@example.test", "givenName": first, "familyName": "Example"})


def fill_exchange(world: World) -> None:
    """Makes two mailboxes on premises with nothing in them."""
    for address, first, last in ON_PREMISES:
        world.exchange.create_record("user", {"mail": address, "givenName": first, "surname": last, "displayName": f"{first} {last}"})


def _personal_contacts_of_gina(world: World) -> None:
    """Gives Gina ten contacts that are no business of a sync: without a label."""
    for n in range(10):
        first, last = _PEOPLE[n], _LAST[-1 - n]
        values = {"givenName": first, "familyName": last, "emails": [f"{first}.{last}@family.example".lower()], "notes": "An old friend."}
        world.google.create_record("contact", {"mailbox": "gina@example.test", **values})


def _users(world: World) -> None:
    fill_salesforce_users(world)
    for username, first, last in USERS:
        values = {"username": username, "firstName": first, "lastName": last, "email": f"{first.lower()}@seller.example", "locked": False}
        world.outreach.create_record("users", values)


def _bench(world: World, size: int) -> None:
    at = show_datetime(int((world.now() - timedelta(days=2)).timestamp()))
    for n in range(1, size + 1):
        values = {"name": f"Company {n:07d}", "website": f"https://c{n}.example", "organisation_num_employees": n % 5000}
        world.workbooks.create_record("organisations", {**values, SYNC: True, "updated_at": at})


def _bound(world: World, size: int) -> None:
    """Organisations that have their accounts already: number n on both sides, equal values, last edited two days ago."""
    at = show_datetime(int((world.now() - timedelta(days=2)).timestamp()))
    for n in range(1, size + 1):
        name, website = f"Company {n:07d}", f"https://c{n}.example"
        plugin = {SYNC: True, "cf_organisation_outreach_id": str(n), "cf_organisation_outreach_url": f"http://127.0.0.1/accounts/{n}"}
        world.workbooks.create_record("organisations", {"name": name, "website": website, **plugin, "updated_at": at})
        account = {"name": name, "websiteUrl": website, "domain": f"c{n}.example", "customId": f"wb-3-{n}"}
        world.outreach.create_record("accounts", {**account, "updatedAt": "2026-01-01T00:00:00.000Z"})


def _names(rng: random.Random, count: int) -> list[str]:
    stems = [f"{a}{b} {kind}" for a in _FIRST for b in _SECOND for kind in _KIND]
    rng.shuffle(stems)
    return stems[:count]


def _demo(world: World) -> None:
    rng = random.Random(world.seed)
    names = _names(rng, 283)
    already_there = names[:5]
    account_names = [*already_there, *_names(random.Random(world.seed + 1), 400)[-35:]]
    accounts = [
        world.outreach.create_record("accounts", {"name": n, "domain": _host(n), "owner": rng.choice((1, 2, None))}) for n in account_names
    ]
    organisations = [_organisation(world, rng, name, i) for i, name in enumerate([*names, *names[5:8], *HOSTILE])]
    _condition_table(world, rng, organisations[20:52])
    _people(world, rng, organisations, [a["id"] for a in accounts])
    _salesforce(world)
    fill_activities(world)
    _joiner(world)
    _users_on_premises(world)
    _mailbox_users_contacts(world)
    _personal_contacts(world)
    _personal_contacts_of_gina(world)


def _host(name: str) -> str:
    return "".join(c for c in name.lower() if c.isascii() and c.isalnum())[:40] + ".example"


def _organisation(world: World, rng: random.Random, name: str, index: int) -> dict[str, Any]:
    at = world.now() - timedelta(days=rng.randint(1, 300), seconds=rng.randint(0, 86400))
    values = {
        "name": name,
        "website": f"https://www.{_host(name)}/" if _host(name) != ".example" else "",
        "industry": rng.choice(("Manufacturing", "Technology", "Health", "Food", "")),
        "organisation_num_employees": rng.choice((5, 12, 48, 120, 900, None)),
        "main_location[town]": rng.choice(_TOWNS),
        "assigned_to_name": OWNERS[index % len(OWNERS)],
        SYNC: index % 6 != 5,
        "updated_at": show_datetime(int(at.timestamp())),
    }
    return world.workbooks.create_record("organisations", values)


def _condition_table(world: World, rng: random.Random, organisations: list[dict[str, Any]]) -> None:
    """Makes every row of seed 000's condition table: each of conditions 1 to 4 either way, and old or new."""
    for n, organisation in enumerate(organisations):
        values: dict[str, Any] = {SYNC: bool(n & 1), ERROR: bool(n & 2), DUPLICATE: bool(n & 4)}
        if n & 8:
            account = world.outreach.create_record("accounts", {"name": f"{organisation['name']} (linked)"})
            values[PEER_ID] = str(account["id"])
        age = timedelta(days=0 if n & 16 else 40)
        values["updated_at"] = show_datetime(int((world.now() - age).timestamp()))
        world.workbooks.update_record("organisations", organisation["id"], values)


def _people(world: World, rng: random.Random, organisations: list[dict[str, Any]], accounts: list[int]) -> None:
    for n in range(900):
        organisation = organisations[n % len(organisations)]
        first, last = _PEOPLE[n % 16], _LAST[(n // 16) % 16]
        email = f"{first}.{last}.{n}@{_host(str(organisation['name']))}".lower()
        values: dict[str, Any] = {
            "name": f"{first} {last}",
            "person_first_name": first,
            "person_last_name": last,
            "employer_link": organisation["id"],
            "main_location[email]": email,
            "cf_person_sync_to_outreach": n % 4 != 3,
        }
        if n % 3 == 0:
            prospect = {"firstName": first, "lastName": last, "emails": [email], "account": rng.choice([*accounts, None])}
            made = world.outreach.create_record("prospects", prospect)
            if n % 6 == 0:
                values["cf_person_outreach_id"] = str(made["id"])
        world.workbooks.create_record("people", values)


def _salesforce(world: World) -> None:
    """Makes Salesforce records of most prospects: contacts with their accounts, then leads. The first contacts come twice
    with one e-mail, the next have a lead of the same e-mail, and a tenth of all is in Salesforce only."""
    rng = random.Random(world.seed + 2)
    ours = {f"{first} {last}" for first, last in MAILBOX_USERS}
    owners = [user["Id"] for user in world.salesforce.list_records("User") if user["Name"] not in ours]
    prospects = [p for p in world.outreach.list_records("prospects") if "@." not in p["emails"][0] and len(p["emails"][0]) <= 80]
    names = {account["id"]: account["name"] for account in world.outreach.list_records("accounts")}
    accounts: dict[str, str] = {}
    for n, prospect in enumerate(prospects[:200]):
        person = {"FirstName": prospect["firstName"], "LastName": prospect["lastName"], "Email": prospect["emails"][0].title()}
        if n % 10 == 9:
            person["Email"] = f"only.here.{n}@{_host(person['LastName'])}"
        company = names.get(prospect.get("account") or 0, "")
        values = {**person, "Title": rng.choice(TITLES), "OwnerId": rng.choice(owners), **_stamps(world, rng)}
        if n < 120:
            if company and company not in accounts:
                account = {"Name": company, "Industry": rng.choice(("Manufacturing", "Technology", None)), **_stamps(world, rng)}
                accounts[company] = world.salesforce.create_record("Account", account)["Id"]
            world.salesforce.create_record("Contact", {**values, "AccountId": accounts.get(company)})
        if n in (0, 1, 2):
            world.salesforce.create_record("Contact", {**values, "Title": "Former colleague", **_stamps(world, rng)})
        if n >= 120 or n in (3, 4, 5):
            world.salesforce.create_record("Lead", {**values, "Company": company or "Unknown", "LeadSource": rng.choice(("Web", "Other"))})


def _joiner(world: World) -> None:
    first, last = JOINER
    email = f"{first.lower()}@example.test"
    world.microsoft.create_record("user", {"mail": email, "givenName": first, "surname": last, "displayName": f"{first} {last}"})
    values = {"Username": email, "FirstName": first, "LastName": last, "Email": email, "Alias": first.lower()}
    world.salesforce.create_record("User", values)


def _users_on_premises(world: World) -> None:
    """Makes the Salesforce users of the mailboxes on premises, and gives Emma contacts that no sync may touch."""
    for email, first, last in ON_PREMISES:
        values = {"Username": email, "FirstName": first, "LastName": last, "Email": email, "Alias": first.lower()}
        world.salesforce.create_record("User", values)
    for n, first in enumerate(_PEOPLE[:10]):
        person = {"givenName": first, "surname": _LAST[-3 - n], "emails": [f"{first}.{_LAST[-3 - n]}@club.example".lower()]}
        world.exchange.create_record("contact", {"mailbox": ON_PREMISES[0][0], **person, "categories": ["Family"] if n % 3 == 0 else []})


def _mailbox_users_contacts(world: World) -> None:
    """Gives each user of a mailbox contacts to find in its folder, with more than a name and an e-mail address."""
    rng = random.Random(world.seed + 3)
    owners = {user["Name"]: user["Id"] for user in world.salesforce.list_records("User")}
    on_premises = tuple((first, last) for _, first, last in ON_PREMISES)
    of_each = [(owner, number) for owner in (*MAILBOX_USERS, JOINER, *on_premises) for number in range(CONTACTS_OF_EACH)]
    for n, (owner, number) in enumerate(of_each):
        first, last = _PEOPLE[(3 * n) % 16], _LAST[(5 * n + n // 16) % 16]
        company = f"{last} {rng.choice(('Partners', 'Logistics', 'Foods'))}"
        account = world.salesforce.create_record("Account", {"Name": company, **_stamps(world, rng)})
        values = {
            "FirstName": first,
            "LastName": last,
            "Email": f"{first}.{last}.{n}@{_host(company)}".lower(),
            "Title": rng.choice(TITLES),
            "Department": rng.choice(("Purchasing", "Operations", None)),
            "Phone": f"+44 20 7946 {n:04d}",
            "MobilePhone": f"+44 7700 900{n:03d}" if number % 2 else None,
            "MailingStreet": f"{n + 1} Market Street",
            "MailingCity": "Leeds",
            "MailingCountry": "United Kingdom",
            "AccountId": account["Id"],
            "OwnerId": owners[" ".join(owner)],
        }
        world.salesforce.create_record("Contact", {**values, **_stamps(world, rng)})


def _stamps(world: World, rng: random.Random) -> dict[str, str]:
    """Returns the instants of a record that was last changed some time within the last 300 days."""
    at = show_instant(world.now() - timedelta(days=rng.randint(1, 300), seconds=rng.randint(0, 86400)))
    return dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), at)


def load_csv(world: World, data: bytes) -> dict[str, Any]:
    """Takes organisations from a CSV with a `name` column, other columns by header. Returns how many rows were taken
    and which were refused and why. Raises ValueError when the file cannot be used at all."""
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        return _load(world, csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"the file cannot be read as a CSV: {error}") from None
    finally:
        csv.field_size_limit(before)


def _load(world: World, reader: csv.DictReader[str]) -> dict[str, Any]:
    headers = {h.strip().lower(): h for h in reader.fieldnames or () if h}
    columns = {c.name: c for c in TYPES["organisations"].columns.values() if c.is_writable}
    titles = {c.title.lower(): c.name for c in columns.values()}
    known = {h: low if low in columns else titles.get(low, "") for low, h in headers.items()}
    if "name" not in known.values():
        raise ValueError(f"the file needs a column called name; besides that it may have {', '.join(sorted(set(columns) - {'name'}))}")
    taken, refused = 0, []
    for row in reader:
        values: dict[str, Any] = {SYNC: True}
        values.update({column: row[h] for h, column in known.items() if column and row.get(h) not in (None, "")})
        try:
            world.workbooks.create_record("organisations", values)
            taken += 1
        except ValueError as error:
            refused.append({"line": reader.line_num, "reason": str(error)})
    return {"taken": taken, "refused": refused, "ignored_columns": [h for h, column in known.items() if not column]}
