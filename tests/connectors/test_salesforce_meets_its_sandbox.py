"""The Salesforce connector against the played Salesforce. Both were written from the reference, neither from the other:
what one of them misread shows here."""

from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import All, AnyOf, Fate, Op, Ref, Write
from connectors.contract import Test as Holds
from connectors.errors import StaleVersion
from connectors.sandbox.transport import SandboxAdapter, base_url
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from reconciliation.models import Connection

pytestmark = pytest.mark.django_db
EVERYTHING = Holds("CreatedDate", Op.GE, datetime(2000, 1, 1, tzinfo=UTC))


class Clock:
    def __init__(self):
        self.at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(clock):
    return World(scenario="empty", now=clock)


@pytest.fixture
def sf(world, clock):
    given = world.salesforce.credentials()
    secrets = {k: given[k] for k in ("client_id", "client_secret", "access_token", "refresh_token")}
    address = base_url("salesforce")
    row = Connection.objects.create(
        name="Salesforce", system="salesforce", base_url=address, login_url=address, secrets=secrets, settings={}, settle_seconds=0
    )
    connector = open_connector(row, adapter=SandboxAdapter(world), db_now=clock, clock=lambda: clock.at.timestamp(), sleep=lambda s: None)
    yield connector
    connector.close()


def contact(world, name, **values):
    return world.salesforce.create_record("Contact", {"LastName": name, **values})["Id"]


def test_its_own_test_finds_everything_it_needs(sf):
    lines = sf.check()

    assert lines and all(line.is_ok for line in lines), [(line.name, line.sentence) for line in lines if not line.is_ok]
    assert sf.identity().user


def test_a_sweep_reads_every_record_once_in_order_whatever_the_pages(sf, world, clock):
    made = []
    for n in range(23):
        if n % 4 == 0:
            clock.at += timedelta(seconds=7)
        made.append(contact(world, f"Name {n}", Email=f"n{n}@example.com"))
    clock.at += timedelta(hours=1)

    seen, position = [], None
    while True:
        page = sf.changes("Contact", where=EVERYTHING, columns=["LastName", "Email"], position=position, page_size=5)
        seen += page.records
        position = page.position
        if position is None:
            break

    assert sorted(r.ref.id for r in seen) == sorted(made) and len(seen) == len(made)
    assert [(r.updated_at, r.ref.id) for r in seen] == sorted((r.updated_at, r.ref.id) for r in seen)
    assert {r.fields["Email"] for r in seen} == {f"n{n}@example.com" for n in range(23)}
    scanned = [r for part in sf.scan("Contact", where=EVERYTHING, columns=["LastName"]) for r in part.records]
    assert sorted(r.ref.id for r in scanned) == sorted(made) and sf.count("Contact", EVERYTHING) == 23


@pytest.mark.parametrize("name", ["O'Brien", 'back\\slash "quoted"', "100 % _sure_", "Zoë 中文 🙂", "; DROP", "line\nbreak"])
def test_hostile_values_are_written_found_and_read_as_they_are(sf, name):
    (made,) = sf.write("Contact", [Write("Contact", {"LastName": name, "Title": name[:40]}, key="k1", marker="m-1")])

    assert made.error is None and made.record.fields["LastName"] == name
    (found,) = sf.find("Contact", "LastName", [name, "nobody"], ["LastName"])
    assert found.ref == made.record.ref
    (marked,) = sf.find_marked("Contact", ["m-1", "m-2"], ["LastName"], since=datetime(2026, 1, 1, tzinfo=UTC))
    assert marked.ref == made.record.ref


def test_a_create_that_is_repeated_makes_no_second(sf, world):
    for _ in range(2):
        (made,) = sf.write("Contact", [Write("Contact", {"LastName": "Once"}, key="k", marker="m-once")])
        assert made.error is None

    assert len(world.salesforce.list_records("Contact")) == 1


def test_each_row_of_many_stands_for_itself(sf, world):
    rows = [Write("Contact", {"LastName": f"Name {n}" if n != 2 else None}, key=str(n), marker=f"m-{n}") for n in range(5)]

    results = sf.write("Contact", rows)

    assert [r.error is None for r in results] == [True, True, False, True, True]
    assert len(world.salesforce.list_records("Contact")) == 4


def test_an_update_rests_on_the_version_that_was_read(sf, world, clock):
    id_ = contact(world, "Ada", Title="CTO")
    clock.at += timedelta(minutes=1)
    (read,) = sf.read("Contact", [id_], ["Title", "Phone"])
    clock.at += timedelta(minutes=1)
    (done,) = sf.write("Contact", [Write("Contact", {"Phone": "1"}, key="a", ref=read.ref, version=read.version)])
    assert done.error is None and done.record.fields["Phone"] == "1"
    clock.at += timedelta(minutes=1)
    (stale,) = sf.write("Contact", [Write("Contact", {"Phone": "2"}, key="b", ref=read.ref, version=read.version)])

    assert isinstance(stale.error, StaleVersion)
    (now,) = sf.read("Contact", [id_], ["Title", "Phone"])
    assert (now.fields["Title"], now.fields["Phone"]) == ("CTO", "1")


def test_deleted_merged_and_converted_records_are_told_apart(sf, world, clock):
    winner, loser, gone = contact(world, "Winner"), contact(world, "Loser"), contact(world, "Gone")
    clock.at += timedelta(minutes=1)
    since = clock.at
    world.salesforce.merge({"object": "Contact", "winner": winner, "losers": [loser]})
    (done,) = sf.write("Contact", [Write("Contact", {}, key="d", ref=Ref("salesforce", "Contact", gone), is_delete=True)])
    assert done.error is None
    clock.at += timedelta(minutes=5)

    page = sf.changes("Contact", where=EVERYTHING, columns=["LastName"], include_deleted_since=since)
    fates = sf.survivors("Contact", [winner, loser, gone])

    assert {r.ref.id for r in page.records if r.is_deleted} == {loser, gone}
    assert {id_: f.fate for id_, f in fates.items()} == {winner: Fate.LIVING, loser: Fate.MERGED, gone: Fate.DELETED}
    assert fates[loser].ref.id == winner


def test_an_expired_session_is_renewed_once_and_the_call_repeated(sf, world):
    id_ = contact(world, "Ada")
    world.salesforce.expire_tokens()

    assert [r.ref.id for r in sf.read("Contact", [id_], ["LastName"])] == [id_]


def test_conditions_mean_the_same_on_both_sides(sf, world):
    blank, mail, other = contact(world, "A"), contact(world, "B", Email="b@example.com"), contact(world, "C", Email="c@example.com")

    def ids(where):
        return {r.ref.id for part in sf.scan("Contact", where=where, columns=["LastName"]) for r in part.records}

    assert ids(Holds("Email", Op.BLANK)) == {blank}
    assert ids(Holds("Email", Op.IN, ("b@example.com", "x@example.com"))) == {mail}
    assert ids(AnyOf((Holds("Email", Op.BLANK), Holds("LastName", Op.EQ, "C")))) == {blank, other}
    assert ids(All((EVERYTHING, AnyOf((Holds("LastName", Op.EQ, "A"), Holds("LastName", Op.EQ, "B")))))) == {blank, mail}
