"""The pages of imports, from *New import* to the last failure: seed 002 against the played systems."""

import csv
import io

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from reconciliation import jobs
from reconciliation.models import Case, Import, ImportRow, Policy, SyncPass
from tests.importing import make_importing

pytestmark = pytest.mark.django_db
SAME_EMAIL = "A prospect with this email address already exists in Outreach"
HOSTILE = "<script>alert('x')</script>\u202e\"'&{{ 7 }}"


@pytest.fixture
def box(monkeypatch):
    """A world with prospects; what the queue would do is done at once."""
    call_command("migrate", verbosity=0)
    box = make_importing()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: jobs.carry_import(*a))
    return box


@pytest.fixture
def operator(client, box):
    return log_in(client, "operator")


def log_in(client, role):
    user = User.objects.create_user(f"a-{role}", password="x", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return user


def choosing():
    Policy.objects.update_or_create(pk=1, defaults={"same_email": "choose"})


def upload(client, text, name="people.csv"):
    file = SimpleUploadedFile(name, text.encode() if isinstance(text, str) else text)
    return client.post("/imports/preview/", {"source": "csv", "file": file, "back": "/imports/new/?by=csv"}, follow=True)


def start(client, text, title="people.csv", source="csv"):
    answer = client.post("/imports/start/", {"source": source, "title": title, "text": text}, follow=True)
    return answer.content.decode(), Import.objects.first()


def test_s2_16_a_file_is_looked_at_imported_and_its_failures_lead_to_the_prospects(client, box, operator):
    first, second = box.contact("One", "same@example.com"), box.lead("Two", "same@example.com")
    start(client, first)
    choosing()

    seen = upload(client, f"Lead ID;Name\n{second};Two\nnobody;=1+1\n").content.decode()
    assert "Nothing is imported or written yet" in seen and "Import 1 row" in seen and "nobody" in seen
    assert Import.objects.count() == 1
    seen = client.post("/imports/preview/", {"source": "csv", "file": SimpleUploadedFile("a.csv", second.encode())}, follow=True)
    page, batch = start(client, seen.context["preview"].choice.text)
    kept, _ = seen.redirect_chain[-1]  # an address of its own: the browser's way back reads it again
    assert client.get(kept).context["preview"].choice == seen.context["preview"].choice
    log_in(client, "admin")
    assert "not kept any more" in client.get(kept, follow=True).content.decode()  # another person's
    client.force_login(operator)

    assert f'href="?state=failed&amp;reason=same_email"><b>1</b> {SAME_EMAIL}</a>' in page
    led_to = client.get(f"/imports/{batch.pk}/?state=failed&reason=same_email").content.decode()
    prospect = ImportRow.objects.get(batch=batch).peer_id
    assert prospect and f"/records/outreach/prospect/{prospect}/" in led_to and "Two" in led_to and second in led_to


def test_s2_17_find_salesforce_matches_stands_beside_each_affected_prospect(client, box, operator):
    first, second, third = box.contact("One", "same@example.com"), box.lead("Two", "same@example.com"), box.contact("Bare")
    start(client, first)
    choosing()
    _, batch = start(client, f"{second}\n{third}")

    page = client.get(f"/imports/{batch.pk}/").content.decode()
    prospect = batch.rows.get(reason="same_email").peer_id
    assert page.count("Find Salesforce matches") == 1
    where = f"/prospects/{prospect}/matches/?import={batch.pk}"
    assert f'href="{where}"' in page
    matches = client.get(where).content.decode()
    assert first in matches and second in matches and f'href="/imports/{batch.pk}/"' in matches
    client.force_login(User.objects.get_or_create(username="v", is_staff=True)[0])
    User.objects.get(username="v").groups.add(Group.objects.get(name="viewer"))
    assert "Find Salesforce matches" not in client.get(f"/imports/{batch.pk}/").content.decode()


def test_s2_13_one_record_whose_address_belongs_to_a_prospect_offers_the_remap_at_once(client, box, operator):
    first, second = box.contact("One", "same@example.com"), box.lead("Two", "same@example.com")
    choosing()
    assert "created" in client.post("/imports/one/", {"given": first}, follow=True).content.decode()

    page = client.post("/imports/one/", {"given": second}, follow=True).content.decode()

    assert "Choose the preferred CRM ID" in page and SAME_EMAIL in page and second in page and first in page
    Case.objects.update(state="resolved", decision="remap")
    assert "Choose the preferred CRM ID" not in client.get(f"/imports/{Import.objects.first().pk}/").content.decode()


def test_s2_13_the_page_of_a_record_that_is_linked_to_nobody_offers_to_import_it(client, box, operator):
    contact = box.contact("Ada", "ada@example.com")
    where = f"/records/salesforce/Contact/{contact}/"

    page = client.get(where).content.decode()
    assert "Import as a prospect" in page and f'name="given" value="{contact}"' in page
    client.post("/imports/one/", {"given": contact, "back": where})
    assert "Import as a prospect" not in client.get(where).content.decode()

    other = box.contact("Bob", "bob@example.com")
    log_in(client, "viewer")
    assert "Import as a prospect" not in client.get(f"/records/salesforce/Contact/{other}/").content.decode()


def test_s2_5_with_option_1_no_remap_is_offered(client, box, operator):
    first, second = box.contact("One", "same@example.com"), box.lead("Two", "same@example.com")
    start(client, first)

    page = client.post("/imports/one/", {"given": second}, follow=True).content.decode()

    assert f"kept on {first}" in page and "preferred CRM ID</a>" not in page and "Find Salesforce matches" not in page
    assert not Case.objects.exists()


def test_leads_and_contacts_are_chosen_by_search(client, box, operator):
    ada, bob = box.contact("Lovelace", "ada@example.com"), box.lead("Loveday", "bob@example.com")
    client.post("/imports/one/", {"given": ada})

    page = client.get("/imports/new/?by=search&q=love").content.decode()
    assert f'value="{ada}"' in page and "linked to prospect" in page and f'value="{bob}"' in page
    seen = client.post("/imports/preview/", {"source": "search", "q": "love", "chosen": [bob, ada]}, follow=True).context["preview"]

    assert (seen.rows, seen.linked, seen.to_do, seen.by_type) == (2, 1, 1, {"Lead": 1, "Contact": 1})
    assert "Nobody in Salesforce" in client.get("/imports/new/?q=zzzz").content.decode()
    assert "at least 2 letters" in client.get("/imports/new/?q=z").content.decode()
    assert "Choose at least one" in client.post("/imports/preview/", {"source": "search"}, follow=True).content.decode()


def test_a_list_view_is_imported_as_it_is_now(client, box, operator):
    for n in range(3):
        box.contact(f"C{n}", f"c{n}@example.com")

    page = client.get("/imports/new/?by=view").content.decode()
    key = page.partition("All Contacts")[0].rpartition('value="')[2].partition('"')[0]
    seen = client.post("/imports/preview/", {"source": "view", "view": key}, follow=True)
    page, batch = start(client, seen.context["preview"].choice.text, seen.context["title_given"], "view")

    assert f'href="/runs/{batch.rows.first().run_id}/"' in page
    assert (batch.title, batch.source, batch.total, batch.state) == ("All Contacts (Contacts)", "view", 3, "finished")
    assert len(box.prospects()) == 3
    assert "list view is gone" in client.post("/imports/preview/", {"source": "view", "view": "Contact:x"}, follow=True).content.decode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x" * 1_000_001, "larger than 1 MB"),
        (b"", "Nothing was chosen"),
        (b"PK\x00\x00", "no text file"),
        (f"{HOSTILE}\n".encode() * 3, "None of the rows"),
    ],
)
def test_files_that_are_no_lists_are_told_and_store_nothing(client, box, operator, data, said):
    page = upload(client, data, HOSTILE.replace("/", "")).content.decode()

    assert said in page or "The submitted file is empty" in page
    assert "<script>alert" not in page and not Import.objects.exists()


def test_hostile_names_and_texts_come_back_escaped_and_files_carry_nothing_out(client, box, operator):
    box.contact(HOSTILE[:40], "x@example.com", Title="=1+1")
    start(client, "x@example.com\n=cmd|' /C calc'!A0", HOSTILE)
    batch = Import.objects.get()
    ImportRow.objects.create(batch=batch, number=9, given="=cmd|' /C calc'!A0", state="failed", reason="other", sentence="+1")

    for where in ("/imports/", f"/imports/{batch.pk}/", f"/imports/{batch.pk}/?state=", f"/imports/new/?q={HOSTILE}"):
        answer = client.get(where)
        assert answer.status_code == 200 and "<script>alert" not in answer.content.decode(), where
    text = b"".join(client.get(f"/imports/{batch.pk}/rows.csv?state=failed").streaming_content).decode()
    assert "'=cmd" in text and ",=cmd" not in text


def test_salesforce_trouble_is_told_on_the_page(client, box, operator):
    box.world.faults.add({"kind": "status", "status": 503, "system": "salesforce", "times": 999})

    for where in ("/imports/new/?q=love", "/imports/new/?by=view"):
        assert "Salesforce" in client.get(where).content.decode().partition('role="alert">')[2].partition("</p>")[0], where
    answer = client.post("/imports/preview/", {"source": "view", "view": "Contact:x", "back": "/imports/"}, follow=True)
    assert answer.redirect_chain[0][0] == "/imports/" and "Salesforce" in answer.content.decode()


def test_progress_is_told_while_an_import_is_under_way_and_it_can_be_let_go_on(client, box, operator, monkeypatch):
    people = [box.contact(f"P{n}", f"p{n}@example.com") for n in range(4)]
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    page, batch = start(client, "\n".join(people))
    assert f'data-progress="/imports/{batch.pk}/progress.json"' in page and 'max="4"' in page
    now = client.get(f"/imports/{batch.pk}/progress.json").json()
    assert (now["seen"], now["total"], now["is_running"], now["words"]) == (0, 4, True, "")

    Import.objects.filter(pk=batch.pk).update(state="interrupted", note="Outreach: log in again.")
    assert "Go on with the 4 that wait" in client.get(f"/imports/{batch.pk}/").content.decode()
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: jobs.carry_import(*a))
    client.post(f"/imports/{batch.pk}/go-on/")

    now = client.get(f"/imports/{batch.pk}/progress.json").json()
    assert (now["seen"], now["is_running"], now["words"]) == (4, False, "4 created")
    assert "not interrupted" in client.post(f"/imports/{batch.pk}/go-on/", follow=True).content.decode()


def test_failures_are_retried_one_a_group_and_all(client, box, operator):
    bare = [box.contact(f"B{n}") for n in range(3)]
    _, batch = start(client, "\n".join([*bare, "late@example.com"]))
    row = batch.rows.get(given=bare[0])
    for id_ in bare:
        box.world.salesforce.update_record("Contact", id_, {"Email": f"{id_}@example.com"})

    assert (
        "1 row is tried again."
        in client.post(f"/imports/{batch.pk}/retry/", {"row": [row.pk, "²", "999999"]}, follow=True).content.decode()
    )
    assert [r.state for r in batch.rows.all()] == ["created", "failed", "failed", "failed"]
    assert "2 rows are tried again." in client.post(f"/imports/{batch.pk}/retry/", {"reason": "no_email"}, follow=True).content.decode()
    assert [r.state for r in batch.rows.all()] == ["created", "created", "created", "failed"]
    box.contact("Late", "late@example.com")
    client.post(f"/imports/{batch.pk}/retry/", {"all": "1"})
    assert [r.state for r in batch.rows.all()] == ["created"] * 4
    assert "Choose at least one" in client.post(f"/imports/{batch.pk}/retry/", {}, follow=True).content.decode()
    assert "Choose at least one" in client.post(f"/imports/{batch.pk}/retry/", {"reason": "no such"}, follow=True).content.decode()


def test_viewers_look_and_do_not_import(client, box):
    log_in(client, "viewer")
    contact = box.contact("Ada", "ada@example.com")
    batch = Import.objects.create(sync_pass=box.sync_pass, source="csv", title="x", total=1, same_email="choose", created_at=box.clock())
    ImportRow.objects.create(batch=batch, number=1, given=contact, state="failed", reason="no_email")

    page = client.get(f"/imports/{batch.pk}/").content.decode()

    assert "Retry" not in page and "New import" not in client.get("/imports/").content.decode()
    for where in ("new/",):
        assert client.get(f"/imports/{where}").status_code == 403
    for where in ("preview/", "start/", "one/", f"{batch.pk}/retry/", f"{batch.pk}/go-on/"):
        assert client.post(f"/imports/{where}").status_code == 403, where


def test_five_thousand_failures_turn_pages_in_few_queries(client, box, operator):
    batch = Import.objects.create(
        sync_pass=box.sync_pass,
        source="csv",
        title="x",
        total=5000,
        done=5000,
        state="finished",
        same_email="choose",
        created_at=box.clock(),
    )
    ImportRow.objects.bulk_create(
        ImportRow(
            batch=batch, number=n, given=f"a{n}@example.com", crm_type="Lead", crm_id=f"00Q{n:015d}", name=f"Name {n}", state="failed",
            reason="same_email" if n % 2 else "required", peer_id=str(n),
        )
        for n in range(1, 5001)
    )  # fmt: skip
    client.get("/")
    assert "Choose for many" not in client.get(f"/imports/{batch.pk}/").content.decode()
    choosing()

    for where in ("", "?page=100", "?state=failed&reason=required&page=50", "?name=Name 4999", "progress.json"):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(f"/imports/{batch.pk}/{where}")
        assert answer.status_code == 200 and len(queries) <= 12, (where, len(queries))
    page = client.get(f"/imports/{batch.pk}/?page=2").content.decode()
    assert f'href="/prospects/bulk/?import={batch.pk}">Choose for many…</a>' in page and "Page 2 of 100" in page
    with CaptureQueriesContext(connection) as queries:
        text = b"".join(client.get(f"/imports/{batch.pk}/rows.csv").streaming_content).decode()
    assert len(list(csv.reader(io.StringIO(text)))) == 5001 and len(queries) < 30


def test_while_nothing_is_connected_the_pages_say_so(client, box, operator):
    SyncPass.objects.update(name="other")

    assert "not both connected" in client.get("/imports/").content.decode()
    assert "not both connected" in client.get("/imports/new/").content.decode()
    assert (
        "not both connected" in client.post("/imports/one/", {"given": "a@example.com", "back": "/imports/"}, follow=True).content.decode()
    )
