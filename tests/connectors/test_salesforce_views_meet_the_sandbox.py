"""List views, rights and companies: the Salesforce connector against the played Salesforce, each written from the reference.
What our user evaluates for others is what these see themselves: with a token of their own, and by simple-salesforce."""

from datetime import UTC, datetime, timedelta

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from simple_salesforce import Salesforce, format_soql

from connectors.contract import EVERYTHING, MINE, NO_ACCESS, RecordAccess, Ref, Write
from connectors.errors import ConnectorError, NeedsAttention, Rejected
from connectors.sandbox.scenarios import fill_mailbox_users
from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from reconciliation.models import Connection

pytestmark = pytest.mark.django_db
ANN, BOB, GINA = "ann@example.test", "bob@example.test", "gina@example.test"


class Clock:
    """The real clock, a little ahead when told: assertions are signed by the real one."""

    def __init__(self):
        self.ahead = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.ahead

    def forward(self, seconds):
        self.ahead += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def world(clock, key):
    world = World(scenario="empty", now=clock)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    world.salesforce.set_switches({"jwt_certificate": public})
    return world


@pytest.fixture
def users(world):
    return fill_mailbox_users(world)


@pytest.fixture
def connect(world, clock, key):
    """Opens connectors: of our app's own user, or of a user we sign for."""
    opened = []

    def connect(user=""):
        given, address = world.salesforce.credentials(), base_url("salesforce")
        secrets = {k: given[k] for k in ("client_id", "client_secret", "access_token", "refresh_token")}
        settings = {}
        if user:
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
            secrets, settings = {"client_id": given["client_id"], "jwt_key": pem}, {"flow": "jwt", "jwt_user": user}
        row = Connection.objects.create(
            name=f"{user or 'app'} {len(opened)}",
            system="salesforce",
            base_url=address,
            login_url=address,
            secrets=secrets,
            settings=settings,
        )
        options = {"adapter": SandboxAdapter(world), "db_now": clock, "clock": lambda: clock().timestamp(), "sleep": lambda s: None}
        opened.append(open_connector(row, **options))
        return opened[-1]

    yield connect
    for connector in opened:
        connector.close()


@pytest.fixture
def sf(connect, users):
    return connect()


@pytest.fixture
def witness(world):
    """Opens simple-salesforce, with a token that a connector of ours was given or the app's own."""
    sessions = []

    def witness(connector=None):
        session = requests.Session()
        sessions.append(session)
        for prefix in ("http://", "https://"):
            session.mount(prefix, SandboxAdapter(world))
        token = world.salesforce.credentials()["access_token"] if connector is None else connector._tokens.current().access_token
        return Salesforce(instance_url=base_url("salesforce"), session_id=token, session=session, version="67.0")

    yield witness
    for session in sessions:
        session.close()


def contact(world, name, owner, **values):
    return world.salesforce.create_record("Contact", {"LastName": name, "OwnerId": owner, **values})["Id"]


def view(sf, title):
    return next(v.id for v in sf.views("Contact") if v.title == title)


def found(sf, terms, *, owners=None, ids=None, columns=("LastName",)):
    return [r for page in sf.members("Contact", terms, owners=owners, ids=ids, columns=columns) for r in page.records]


def set_views(world, **wheres):
    own = [{"object": "Contact", "name": name, "label": name, "scope": "mine", "where": where} for name, where in wheres.items()]
    world.salesforce.set_switches({"list_views": own})


def test_my_contacts_of_many_users_are_what_each_of_them_sees(sf, connect, world, users, witness):
    for n in range(23):
        contact(world, f"Name {n}", [users[ANN], users[BOB], users[GINA]][n % 3], Email=f"n{n}@x.example" if n % 2 else None)
    set_views(world, Mailed="Email != null AND (LastName LIKE '%1%' OR LastName = 'Name 5')")
    for title in ("My Contacts", "Mailed"):
        terms = sf.view_terms("Contact", view(sf, title))
        assert (terms.scope, terms.is_usable) == (MINE, True)

        together = found(sf, terms, owners=[users[ANN], users[BOB]])

        for email in (ANN, BOB):
            own = connect(email)
            ids = {r.ref.id for r in together if r.fields["OwnerId"] == users[email]}
            assert ids == set(own.ids_in_view("Contact", view(own, title))) and ids
            described = witness(own).restful(f"sobjects/Contact/listviews/{view(own, title)}/describe")
            assert ids == {r["Id"] for r in witness(own).query_all(described["query"])["records"]}
        assert {r.fields["OwnerId"] for r in together} == {users[ANN], users[BOB]}


def test_a_view_of_everything_and_which_of_some_records_are_in_a_view(sf, world, users):
    ann, bob = contact(world, "A", users[ANN], Email="a@x.example"), contact(world, "B", users[BOB])
    everything = sf.view_terms("Contact", view(sf, "All Contacts"))
    set_views(world, Mailed="Email != null")
    mailed = sf.view_terms("Contact", view(sf, "Mailed"))

    assert everything.scope == EVERYTHING and {r.ref.id for r in found(sf, everything)} == {ann, bob}
    assert [r.ref.id for r in found(sf, everything, ids=[bob])] == [bob]
    counts = [sf.count_members("Contact", terms, owners=list(users.values())) for terms in (everything, mailed)]
    assert counts == [2, 1] and sf.count_members("Contact", sf.view_terms("Contact", view(sf, "My Contacts")), owners=[users[BOB]]) == 1
    assert [r.ref.id for r in found(sf, mailed, owners=list(users.values()), ids=[ann, bob])] == [ann]
    world.salesforce.update_record("Contact", ann, {"Email": None})
    assert found(sf, mailed, owners=list(users.values()), ids=[ann, bob]) == []
    world.salesforce.delete_record("Contact", bob)
    assert [r.ref.id for r in found(sf, everything)] == [ann]


def test_many_users_and_many_records_take_few_calls(sf, world, users):
    ids = [contact(world, f"N{n}", users[ANN]) for n in range(30)]
    world.salesforce.set_switches({"page_size": 2000})
    owners = [*users.values(), *(world.salesforce.create_record("User", {
        "LastName": f"U{n}", "Username": f"u{n}@example.test", "Email": f"u{n}@example.test"})["Id"] for n in range(600))]  # fmt: skip
    terms = sf.view_terms("Contact", view(sf, "My Contacts"))
    before = sf.counts().calls

    assert len(found(sf, terms, owners=owners)) == len(found(sf, terms, owners=owners, ids=ids)) == 30
    assert sf.counts().calls == before + 2


@pytest.mark.parametrize(
    "where", ["LastName = 'O\\'Neil) OR (\\\\'", "LastName LIKE '100\\%%' OR (NOT Email = null)", "CreatedDate = LAST_N_DAYS:3"]
)
def test_conditions_are_carried_over_as_they_are(sf, connect, world, users, where):
    long_ago = "2019-03-02T09:00:00.000+0000"
    contact(world, "Old", users[ANN], **dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), long_ago))
    for name, mail in (("O'Neil) OR (\\", None), ("100% Sure", None), ("Other", "o@x.example")):
        contact(world, name, users[ANN], Email=mail)
        contact(world, name, users[BOB], Email=mail)
    set_views(world, Odd=where)
    terms = sf.view_terms("Contact", view(sf, "Odd"))
    own = connect(ANN)

    assert {r.ref.id for r in found(sf, terms, owners=[users[ANN]])} == set(own.ids_in_view("Contact", view(own, "Odd")))
    assert 0 < len(found(sf, terms, owners=[users[ANN]])) < 4


def test_a_view_that_changes_changes_its_fingerprint_and_one_that_goes_is_told(sf, world):
    set_views(world, Mailed="Email != null")
    id_ = view(sf, "Mailed")
    first = sf.view_terms("Contact", id_)
    assert sf.view_terms("Contact", id_) == first
    set_views(world, Mailed="Phone != null")
    assert sf.view_terms("Contact", id_).fingerprint != first.fingerprint
    set_views(world)

    gone = sf.view_terms("Contact", id_)

    assert not gone.is_usable and "no such list view" in gone.why_not
    with pytest.raises(Rejected):
        sf.members("Contact", gone, owners=[], ids=None, columns=[])


@pytest.mark.parametrize("sharing", ["public_read_write", "public_read", "private"])
def test_what_a_user_may_do_is_told_before_and_enforced_after(sf, connect, world, users, clock, witness, sharing):
    own, other, gone = contact(world, "Own", users[ANN]), contact(world, "Other", users[BOB]), contact(world, "Gone", users[ANN])
    world.salesforce.delete_record("Contact", gone)
    world.salesforce.set_switches({"sharing": sharing})
    clock.forward(5)

    told = sf.may_change(users[ANN], [own, other, gone, "003AA0000000099"])

    expected = {"public_read_write": (True, True, False), "public_read": (True, False, False), "private": (False, False, False)}
    assert told == {
        own: RecordAccess(True, True, True), other: RecordAccess(*expected[sharing]), gone: NO_ACCESS, "003AA0000000099": NO_ACCESS,
    }  # fmt: skip
    ann = connect(ANN)
    for id_ in (own, other):
        assert bool(ann.read("Contact", [id_], ["LastName"])) == told[id_].read
        ref = Ref("salesforce", "Contact", id_)
        (changed,) = ann.write("Contact", [Write("Contact", {"Title": "CTO"}, key="w", ref=ref)])
        assert (changed.error is None) == told[id_].edit
        (deleted,) = ann.write("Contact", [Write("Contact", {}, key="d", ref=ref, is_delete=True)])
        assert (deleted.error is None) == told[id_].delete
        for result in (changed, deleted):
            assert result.error is None or (isinstance(result.error, Rejected) and result.error.code.startswith("INSUFFICIENT_ACCESS"))
    statement = "SELECT RecordId, HasReadAccess, HasEditAccess, HasDeleteAccess FROM UserRecordAccess "
    rows = witness().query(format_soql(statement + "WHERE UserId = {} AND RecordId IN {}", users[ANN], [own, other]))["records"]
    assert {r["RecordId"]: r["HasEditAccess"] for r in rows} == {other: told[other].edit}


def test_a_read_only_user_makes_nothing(sf, connect, world, users):
    own = contact(world, "Own", users[GINA])
    world.salesforce.set_switches({"read_only_users": [users[GINA]]})
    gina = connect(GINA)

    assert sf.may_change(users[GINA], [own]) == {own: RecordAccess(read=True)}
    (made,) = gina.write("Contact", [Write("Contact", {"LastName": "New"}, key="k")])
    assert isinstance(made.error, ConnectorError) and made.error.code == "INSUFFICIENT_ACCESS_OR_READONLY"
    assert not gina.schema("Contact").attributes["Title"].is_updatable and sf.schema("Contact").attributes["Title"].is_updatable


def test_what_is_made_with_a_token_is_its_users_and_so_is_what_is_given(connect, sf, users):
    (made,) = connect(ANN).write("Contact", [Write("Contact", {"LastName": "New"}, key="k", marker="m-1")])
    (given,) = sf.write("Contact", [Write("Contact", {"LastName": "Given", "OwnerId": users[ANN]}, key="k", marker="m-2")])

    records = sf.read("Contact", [made.record.ref.id, given.record.ref.id], ["OwnerId"])
    assert {r.fields["OwnerId"] for r in records} == {users[ANN]}


def test_users_are_matched_by_mail_and_whoever_left_is_told_apart(sf, connect, world, users):
    own = contact(world, "Own", users[BOB])
    world.salesforce.update_record("User", users[BOB], {"IsActive": False})

    matched = {r.fields["Email"]: r for r in sf.find("User", "Email", [ANN.upper(), BOB, "nobody@example.test"], ["Email", "IsActive"])}

    assert {mail: (r.ref.id, r.fields["IsActive"]) for mail, r in matched.items()} == {ANN: (users[ANN], True), BOB: (users[BOB], False)}
    assert sf.may_change(users[BOB], [own]) == {own: NO_ACCESS}
    with pytest.raises(NeedsAttention):
        connect(BOB).views("Contact")


def test_companies_are_found_by_name_then_by_a_part_of_it(sf, world, clock, witness):
    def account(name):
        clock.forward(1)
        return world.salesforce.create_record("Account", {"Name": name})["Id"]

    first, second, odd = account("Acme"), account("ACME"), account("50%_off \\ O'Neil")
    names = ["acme", "50%_off", "0%_O", "\\ o'n", "cm", "Nobody", "", " Acme "]

    named, holding = sf.accounts_named(names), sf.accounts_containing(names)

    assert [r.ref.id for r in named["acme"]] == [r.ref.id for r in named[" Acme "]] == [first, second]
    assert [name for name, records in named.items() if records] == ["acme", " Acme "]
    assert {name: [r.ref.id for r in records] for name, records in holding.items()} == {
        "acme": [first, second], "50%_off": [odd], "0%_O": [odd], "\\ o'n": [odd], "cm": [first, second], "Nobody": [], "": [],
        " Acme ": [first, second],
    }  # fmt: skip
    assert named["acme"][0].fields["CreatedDate"] < named["acme"][1].fields["CreatedDate"]
    for name in filter(str.strip, names):
        statement = format_soql("SELECT Id FROM Account WHERE Name LIKE '%{:like}%' ORDER BY CreatedDate LIMIT 2", name.strip())
        assert [r["Id"] for r in witness().query(statement)["records"]] == [r.ref.id for r in holding[name]]


def test_a_contact_of_a_mailbox_fits_whole(sf, witness):
    values = {
        "Salutation": "Dr.", "FirstName": "Ada", "MiddleName": "B.", "LastName": "Byron", "Suffix": "PhD", "Email_2__c": "b@x.example",
        "Email_3__c": "c@x.example", "Web_Page__c": "https://ada.example", "AssistantName": "Bea", "OtherStreet": "1 Road\nFlat 2",
    }  # fmt: skip
    (made,) = sf.write("Contact", [Write("Contact", values, key="k", marker="m-1")])

    (read,) = sf.read("Contact", [made.record.ref.id], list(values))
    assert {name: read.fields[name] for name in values} == values
    seen = witness().Contact.get(read.ref.id)
    assert {name: seen[name] for name in values} == values
