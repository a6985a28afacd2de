"""Every list exports what it shows: its filter, no formula, whatever the values are, however many rows there are."""

import csv
import io
import re
import tracemalloc
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.core.paginator import Page
from django.urls import reverse
from django.utils import timezone

from connectors.errors import ServerTrouble
from connectors.workbooks.connector import WorkbooksConnector
from reconciliation.models import (
    Activity,
    AuditEntry,
    Binding,
    BlockedAddress,
    CalendarWatch,
    Case,
    Connection,
    Difference,
    Email,
    Forgetting,
    HookDelivery,
    Import,
    ImportRow,
    MadePerson,
    Mailbox,
    MailboxItem,
    MappingTable,
    MappingVersion,
    Operation,
    OwnDomain,
    Run,
    RunEvent,
    SearchKey,
    SyncPass,
    Tombstone,
    UnresolvedPerson,
    UserPair,
)
from reconciliation.services.audit import audit
from reconciliation.views import exports
from reconciliation.views.exports import safe_cell
from tests.admin.test_pages import HOSTILE, PAGES, address, log_in, world  # noqa: F401  # the fixture

pytestmark = pytest.mark.django_db
EXPORTS = sorted(name for name in PAGES if name.endswith("_export") and PAGES[name][1] == "get")
FORMULA = "=cmd|' /C calc'!A0"


def read(client, address_):
    answer = client.get(address_)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/csv"), address_
    assert answer.streaming and answer.headers["Content-Disposition"].startswith("attachment")
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:])))


@pytest.fixture
def hostile(client, world):  # noqa: F811
    """Every list with a row whose texts are all formulas or worse."""
    log_in(client, "admin")
    now = timezone.now()
    for value in (FORMULA, HOSTILE, " +1", "＝1", "@x", "-1\r\n=2"):
        texts = {"name": value[:255], "sentence": value, "reason": value[:60]}
        row = {"sync_pass": world.sync_pass, "crm_id": value[:20], "opened_at": now, **texts, "remedy": value, "note": value}
        for kind in ("duplicate", "error", "conflict"):
            Case.objects.create(**row, kind=kind, candidates=[{"peer_id": value[:9], "name": value}])
        of_mailbox = {"sync_pass": SyncPass.objects.exclude(mailbox=None).get(), "crm_id": value[:20], "peer_id": value[:20]}
        Case.objects.create(**{**row, **of_mailbox}, kind="deletion")
        named = {"name": value[:200], "lacks": value[:200], "bound_at": now, "synced_at": now}
        Binding.objects.create(**of_mailbox, **named, crm_type="Contact", peer_type="contact")
        bound = {"sync_pass": world.sync_pass, "bound_at": now, "synced_at": now, "is_without_owner": True}
        Binding.objects.create(**bound, crm_id=value[:20], peer_id=value[:20], name=value[:255], owner_text=value[:255])
        run = Run.objects.create(sync_pass=world.sync_pass, state="finished", started_at=now, started_by=value[:150], note=value)
        RunEvent.objects.create(run=run, crm_ref=value[:160], outcome="created", at=now, **texts)
        operation = {"connection": world.sync_pass.peer, "kind": "update", "object_type": "account", "state": "confirmed"}
        operation |= {"source_ref": value[:160], "before": {value: value}, "after": {value: value}, "error": value, "intended_at": now}
        Operation.objects.create(run=run, writer_key=value[:200], reason=value, origin={"name": value}, **operation)
        seen = {"first_seen_at": now, "last_seen_at": now, "name": value[:255], "reason": value, "items": [{"id": "1", "shown": value}]}
        UnresolvedPerson.objects.create(mailbox=of_mailbox["sync_pass"].mailbox, address=f"{value[:240]}~", **seen)
        person = {"name": value[:255], "kind": "Lead", "state": "made", "missing": value[:200], "why": [value], "made_at": now}
        MadePerson.objects.create(connection=of_mailbox["sync_pass"].crm, address=f"{value[:240]}~", **person)
        BlockedAddress.objects.create(entry=f"{value[:240]}~", note=value[:200], by_name=value[:150], at=now)
        OwnDomain.objects.create(domain=f"{value[:240]}~", by_name=value[:150], at=now)
        audit(None, value, value, **{"detail": value})
    RunEvent.objects.update(run=RunEvent.objects.first().run_id)
    return world


def list_of(name):
    """Returns the page that an export belongs to."""
    stem = {"run_export": "run_detail"}.get(name, name.removesuffix("_export"))
    return next(page for page in (f"{stem}_list", stem) if page in PAGES)


@pytest.fixture
def full(hostile):
    """Every list holds rows, those that are one record's own too."""
    run, source = Run.objects.first(), Case.objects.get(kind="error", name="Refused").crm_ref
    binding = Binding.objects.filter(is_tombstone=False).first()
    table, now = MappingTable.objects.get(), timezone.now()
    prospects = SyncPass.objects.get(name="prospects")
    of_both = {"crm": prospects.crm, "peer": prospects.peer, "mapping": prospects.mapping}
    activities, _ = SyncPass.objects.get_or_create(name="outreach-activities", defaults=of_both)
    for n, value in enumerate((FORMULA, HOSTILE, " +1", "＝1", "@x", "-1\r\n=2", "=2")):
        Difference.objects.create(
            sync_pass=hostile.sync_pass, binding=binding, kind="linked", crm_field=value[:120], peer_field=f"field {n}",
            crm_value=value, peer_value=value, noted_at=now,
        )  # fmt: skip
        Tombstone.objects.create(
            sync_pass=hostile.sync_pass, why="crm", crm_id=str(n), name=value[:255], deleted_by=value[:255], found_at=now
        )
        HookDelivery.objects.create(
            connection=hostile.sync_pass.peer, digest=f"full{n}", object_id=value[:64], action=value[:20], received_at=now, note=value
        )  # fmt: skip
        linked = {"crm_type": "Contact", "crm_id": f"003{n}", "peer_type": "prospect", "peer_id": str(n), "how": value[:20]}
        Binding.objects.create(sync_pass=prospects, name=value[:255], bound_at=now, synced_at=now, **linked)
        UserPair.objects.create(sync_pass=prospects, crm_user_id=f"005{n}", crm_name=value[:255], peer_name=value[:255], read_at=now)
        MappingVersion.objects.create(table=table, version=100 + n, saved_at=now, saved_by_name=value[:150], reason=value, rows=[])
        mail = Connection.objects.get(system="microsoft")
        Mailbox.objects.create(connection=mail, address=f"m{n}@x.example", name=value[:255], crm_user_name=value[:255], state_reason=value)
        CalendarWatch.objects.create(mailbox=Mailbox.objects.latest("pk"), state="failed", why=value, due_at=now)
        child = SyncPass.objects.exclude(mailbox=None).first()
        said = {"subject": value[:255], "sender": value[:320], "recipients": value, "sentence": value, "left_out": [value]}
        Email.objects.create(connection=child.crm, key=f"full{n}", holder=child, since=now, message_id=value, why=value[:20], **said)
        Forgetting.objects.create(state="finished", terms={}, asked_by_name=value[:150])
        texts = {"title": value[:200], "note": value, "started_by_name": value[:150]}
        Import.objects.create(sync_pass=hostile.sync_pass, source="csv", state="finished", same_email="choose", created_at=now, **texts)
        texts = {"given": value[:255], "name": value[:255], "email": value[:255], "sentence": value, "peer_id": value[:64]}
        ImportRow.objects.create(batch=Import.objects.earliest("pk"), number=100 + n, state="failed", reason="other", **texts)
        SearchKey.objects.create(
            sync_pass=hostile.sync_pass, ref=f"workbooks:organisation:{n}7", kind="name", key="calc", text=value, seen_at=now
        )
        Operation.objects.create(
            run=run, connection=hostile.sync_pass.peer, kind="update", object_type="account", state="confirmed", writer_key=f"full{n}",
            source_ref=source, before={"industry": value}, after={"industry": value}, intended_at=now, reason=value,
            origin={"staff": value},
        )  # fmt: skip
        hostile.world.workbooks.create_record("organisations", {"name": value[:100]})
        known = {"object_type": "call", "activity_id": str(n), "state": "refused", "since": now}
        shared = {"object_type": "event", "item_id": f"full{n}", "why": value[:10], "since": now, "seen_at": now}
        of_box = SyncPass.objects.exclude(mailbox=None).get()
        MailboxItem.objects.create(sync_pass=of_box, name=value[:255], sentence=value, reason=value[:40], held=[value], **shared)
        Activity.objects.create(sync_pass=activities, name=value[:255], reason=value[:60], sentence=value, **known)
    return hostile


def asked_for(name):
    """Returns the address of an export or of its page, with a filter that this list has."""
    queries = {"record_export": "?q=calc", "record_list": "?q=calc", "coverage_export": "", "coverage_list": ""}
    return address(name) + queries.get(name, "?page=1&state=")


def test_there_is_an_export_beside_every_list(client, full):
    """A list is a page that turns leaves, or whose route calls it one."""
    no_lists = {"connection_list", "mapping_list"}  # a handful of things that are opened, not read
    lists = {name for name, (_, method) in PAGES.items() if method == "get" and (name.endswith("_list") or name == "mapping_versions")}
    for name, (_, method) in PAGES.items():
        if method == "get" and not name.endswith("_export"):
            answer = client.get(asked_for(name))
            if answer.context is not None and isinstance(answer.context.get("rows"), Page):
                lists.add(name)

    assert {list_of(name) for name in EXPORTS} >= lists - no_lists
    assert len(lists) > 10


@pytest.mark.parametrize("name", EXPORTS)
def test_no_cell_of_any_export_is_a_formula(client, full, name):
    rows = read(client, asked_for(name))

    cells = [cell for row in rows for cell in row.values()]
    assert len(rows) >= 6 and any("calc" in cell for cell in cells)
    for cell in cells:
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝")), cell


@pytest.mark.parametrize("name", EXPORTS)
def test_every_list_links_its_export_with_the_filter_of_the_page(client, full, name):
    page = address(name).replace("events.csv", "") if name == "run_export" else asked_for(list_of(name))

    shown = client.get(page).content.decode()

    (link,) = re.findall(rf'href="({re.escape(address(name))}[^"]*)"', shown)
    assert "page=" not in link and ("q=calc" in link) is ("q=calc" in page)


def test_the_filter_of_a_list_is_that_of_its_export(client, world):  # noqa: F811
    log_in(client, "viewer")
    Case.objects.create(
        sync_pass=world.sync_pass, kind="error", state="resolved", crm_id="77", name="Solved", sentence="x", opened_at=timezone.now()
    )

    assert [row["record"] for row in read(client, "/errors/export.csv")] == ["Refused"]
    assert [row["record"] for row in read(client, "/errors/export.csv?state=resolved")] == ["Solved"]
    assert {row["kind"] for row in read(client, "/runs/export.csv?kind=preview")} == {"Preview"}
    assert {row["state"] for row in read(client, "/journal/export.csv?state=rejected")} == {"Rejected"}
    Binding.objects.create(
        sync_pass=world.sync_pass,
        crm_id="78",
        peer_id="78",
        name="Solved",
        name_key="solved",
        bound_at=timezone.now(),
        synced_at=timezone.now(),
    )
    assert [row["organisation"] for row in read(client, "/coverage/linked/export.csv?name=solv")] == ["Solved"]
    assert len(read(client, "/coverage/linked/export.csv")) == 2
    assert {row["what was deleted"] for row in read(client, "/deleted/export.csv?why=crm&restored=no")} == {"Deleted in Workbooks"}
    assert read(client, "/deleted/export.csv?restored=yes") == []
    assert [row["field there"] for row in read(client, "/differences/export.csv?field=industry")] == ["industry"]
    assert read(client, "/differences/export.csv?kind=blank") == []
    assert [row["organisation"] for row in read(client, "/coverage/duplicate/export.csv")] == [HOSTILE.replace("\u202e", "\u202e")[:255]]
    assert read(client, "/records/export.csv?q=nosuchrecord") == []
    run = RunEvent.objects.first().run_id
    assert {row["outcome"] for row in read(client, f"/runs/{run}/events.csv?outcome=failed")} == {"failed"}
    assert read(client, f"/runs/{run}/events.csv?name=nosuchname") == []


def test_rows_come_complete_and_newest_first_over_many_chunks(client, world, monkeypatch):  # noqa: F811
    monkeypatch.setattr(exports, "ROWS_A_CHUNK", 3)
    log_in(client, "viewer")
    now = timezone.now()
    RunEvent.objects.all().delete()
    run = Run.objects.first()
    for n in range(9):
        RunEvent.objects.create(run=run, crm_ref=f"workbooks:organisation:{n}", outcome="created", at=now)

    assert [row["record"][-1] for row in read(client, f"/runs/{run.pk}/events.csv")] == list("876543210")


def test_memory_is_that_of_a_chunk_not_of_the_list(client, world):  # noqa: F811
    log_in(client, "viewer")
    run, now = Run.objects.first(), timezone.now()
    rows = [RunEvent(run=run, crm_ref=f"r{n}", outcome="created", sentence="x" * 1000, at=now) for n in range(8_000)]
    RunEvent.objects.bulk_create(rows, batch_size=500)
    del rows
    answer = client.get(f"/runs/{run.pk}/events.csv")

    tracemalloc.start()
    length = sum(len(part) for part in answer.streaming_content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert length > 8_000_000 and peak < 4_000_000


def test_who_took_which_list_away_is_recorded_without_what_was_searched(client, world):  # noqa: F811
    log_in(client, "viewer")

    read(client, "/errors/export.csv?name=Jane+Doe")

    entry = AuditEntry.objects.get(action="export list")
    assert (entry.username, entry.subject, entry.detail["filters"]) == ("a-viewer", "errors", ["name"])


def test_people_are_exported_as_the_list_shows_them_to_those_who_may_see_it(client, world):  # noqa: F811
    log_in(client, "admin")
    assert client.get(reverse("admin:auth_user_export")).status_code == 403
    client.force_login(User.objects.create_superuser("root", first_name=FORMULA))
    User.objects.create_user("gone", is_active=False)

    everybody = read(client, reverse("admin:auth_user_export"))
    active = read(client, reverse("admin:auth_user_export") + "?is_active__exact=1")

    assert {row["username"] for row in everybody} == {"a-admin", "root", "gone"} and len(active) == 2
    assert [row["first name"] for row in active if row["username"] == "root"] == [f"'{FORMULA}"]
    assert "password" not in everybody[0]
    assert 'export.csv?is_active__exact=1"' in client.get("/auth/user/?is_active__exact=1").content.decode()


@pytest.mark.parametrize(("value", "cell"), [(-5, -5), (None, ""), (True, "yes"), ("a\0b", "a�b"), ("Acme", "Acme"), ("  =1", "'  =1")])
def test_cells(value, cell):
    assert safe_cell(value) == cell


def test_a_list_that_breaks_off_says_so_in_its_last_line(client, world):  # noqa: F811
    log_in(client, "viewer")
    for n in range(150):
        world.world.workbooks.create_record("organisations", {"name": f"Name {n}"})
    calls = iter(range(9))
    scan = WorkbooksConnector.scan

    def breaking(self, *arguments, **options):
        for page in scan(self, *arguments, **options):
            if next(calls):
                raise ServerTrouble("it answered 503", system="workbooks", status=503)
            yield page

    with patch.object(WorkbooksConnector, "scan", breaking):
        rows = read(client, "/coverage/organisations/export.csv")

    assert len(rows) == 101 and rows[-1]["organisation"].startswith("This list is not complete: ")


def test_a_download_that_the_reader_breaks_off_ends_quietly():
    parts = exports._parts(iter(range(2 * exports.ROWS_A_CHUNK)))
    next(parts)

    parts.close()  # RuntimeError where a generator yields once more while it is being closed
