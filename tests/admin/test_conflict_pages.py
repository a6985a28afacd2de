"""The pages of conflicts over a two-way pass: what they show, what they offer, and what a decision by form does."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from reconciliation import jobs
from reconciliation.models import AuditEntry, Case, ConflictField, FieldRule, Operation
from tests.admin.test_exports import read
from tests.admin.test_pages import HOSTILE, log_in
from tests.conflicting import conflicting

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(monkeypatch):
    box = conflicting()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    return box


@pytest.fixture
def case(box):
    """A person whose title and custom field were changed on both sides."""
    return box.conflict(box.pair("Lovelace"), title=("CTO", "CEO"), custom1=("ours", "theirs"))


def form_of(page):
    """Returns the hidden fields of the decision form as a browser would send them."""
    return dict(re.findall(r'<input type="hidden" name="(seen-\d+)" value="(\w+)">', page))


def row(case, name="title"):
    return case.fields.get(peer_field=name)


def test_s3_8_the_page_shows_both_sides_with_who_and_when_and_what_each_choice_writes(client, case):
    log_in(client, "operator")

    page = client.get(f"/conflicts/{case.pk}/").content.decode()

    for text in ("Buyer", "CTO", "CEO", "ours", "theirs", "Salesforce", "Outreach"):
        assert text in page
    assert f"Outreach <bdi>prospect {case.peer_id}</bdi>: title becomes <b>CTO</b>" in page
    assert f"Salesforce <bdi>Contact {case.crm_id}</bdi>: Title becomes <b>CEO</b>" in page
    assert row(case).why and row(case).why in page
    assert len(form_of(page)) == 2 and "Take Salesforce for all 2" in page and "rule of" not in page  # admins only


def test_a_viewer_reads_a_conflict_and_is_offered_no_act(client, case):
    log_in(client, "viewer")

    listed = client.get("/conflicts/").content.decode()
    assert f'href="/conflicts/{case.pk}/"' in listed and "Look again" not in listed
    page = client.get(f"/conflicts/{case.pk}/").content.decode().partition("<main")[2]

    for text in ("Buyer", "CTO", "CEO", f"Outreach <bdi>prospect {case.peer_id}</bdi>: title becomes <b>CTO</b>", "An operator decides it"):
        assert text in page
    for act in ("<form", "<button", "<input", "data-here", "Put back", "/support/"):
        assert act not in page
    assert client.get("/conflicts/bulk/").status_code == 403
    assert client.post(f"/conflicts/{case.pk}/decide/", {"all": "crm"}).status_code == 403


def test_s3_8_a_form_decides_some_fields_and_then_the_rest_the_same_way(client, box, case):
    user = log_in(client, "operator")
    seen = form_of(client.get(f"/conflicts/{case.pk}/").content.decode())

    answer = client.post(f"/conflicts/{case.pk}/decide/", {**seen, f"take-{row(case).pk}": "crm", "reason": "newer"}, follow=True)

    assert "title decided" in answer.content.decode() and answer.redirect_chain[-1][0] == f"/conflicts/{case.pk}/"
    page = answer.content.decode()
    assert "The CRM&#x27;s value was taken" in page and "Put back…" in page and len(form_of(page)) == 1

    answer = client.post(f"/conflicts/{case.pk}/decide/", {**form_of(page), "all": "peer"}, follow=True)

    assert answer.redirect_chain[-1][0] == "/conflicts/"
    case.refresh_from_db()
    assert (case.state, case.decided_by) == ("resolved", user)
    assert (box.peer(case.peer_id)["title"], box.crm("Contact", case.crm_id)["Description"]) == ("CTO", "theirs")


def test_s3_8_a_third_value_is_typed(client, box, case):
    log_in(client, "operator")
    seen = form_of(client.get(f"/conflicts/{case.pk}/").content.decode())
    take = {f"take-{row(case).pk}": "typed"}

    answer = client.post(f"/conflicts/{case.pk}/decide/", {**seen, **take, f"value-{row(case).pk}": "  "}, follow=True)
    assert "Enter the other value of Title" in answer.content.decode() and row(case).state == "open"

    client.post(f"/conflicts/{case.pk}/decide/", {**seen, **take, f"value-{row(case).pk}": " Chair "})
    assert (box.peer(case.peer_id)["title"], box.crm("Contact", case.crm_id)["Title"]) == ("Chair", "Chair")


@pytest.mark.parametrize("value", [HOSTILE[:100], "=cmd|' /C calc'!A0", "Zoë 中文 🙂", "O'Brien; DROP TABLE x --"])
def test_hostile_values_are_shown_escaped_and_written_as_they_are(client, box, value):
    log_in(client, "admin")
    case = box.conflict(box.pair("Lovelace"), title=(value, "CEO"))

    page = client.get(f"/conflicts/{case.pk}/").content.decode()
    assert "<script>alert" not in page
    client.post(f"/conflicts/{case.pk}/decide/", {**form_of(page), "all": "crm"})

    assert box.peer(case.peer_id)["title"] == value
    for where in (f"/conflicts/{case.pk}/", "/conflicts/?state=", "/conflicts/bulk/", f"/journal/{Operation.objects.latest('pk').pk}/"):
        assert "<script>alert" not in client.get(where).content.decode()


@pytest.mark.parametrize("value", ["a\x08b", "x" * 33_000])
def test_a_typed_value_that_cannot_be_stored_is_refused(client, box, case, value):
    log_in(client, "operator")
    seen = form_of(client.get(f"/conflicts/{case.pk}/").content.decode())

    form = {**seen, f"take-{row(case).pk}": "typed", f"value-{row(case).pk}": value}
    assert "cannot be stored" in client.post(f"/conflicts/{case.pk}/decide/", form, follow=True).content.decode()
    assert row(case).state == "open"


def test_a_form_that_is_stale_forged_or_empty_does_nothing(client, box, case):
    log_in(client, "operator")
    seen = form_of(client.get(f"/conflicts/{case.pk}/").content.decode())
    box.calls()

    for form in ({}, {"all": "crm"}, {"all": "nobody", **seen}, {f"take-{row(case).pk}": "evil", **seen}, {"all": "typed", **seen}):
        assert "Nothing was done" in client.post(f"/conflicts/{case.pk}/decide/", form, follow=True).content.decode()
    box.edit(box.binding(case.peer_id), crm={"Title": "Chair", "Description": "x"})
    answer = client.post(f"/conflicts/{case.pk}/decide/", {**seen, "all": "peer"}, follow=True).content.decode()

    assert "changed since this page was opened" in answer and "Chair" in answer
    assert box.written() == 0 and box.crm("Contact", case.crm_id)["Title"] == "Chair"


def test_d10_only_an_admin_makes_a_choice_the_rule(client, box, case):
    log_in(client, "operator")
    form = {**form_of(client.get(f"/conflicts/{case.pk}/").content.decode()), "all": "crm", "remember": "1"}
    assert "Only an admin" in client.post(f"/conflicts/{case.pk}/decide/", form, follow=True).content.decode()
    assert Case.objects.get().is_open

    log_in(client, "admin")
    answer = client.post(f"/conflicts/{case.pk}/decide/", form, follow=True).content.decode()
    assert "Salesforce wins, from mapping version 2 on" in answer
    assert set(FieldRule.objects.filter(survivorship="crm").values_list("peer_field", flat=True)) == {"title", "custom1"}


def test_d10_many_are_decided_from_a_preview_as_a_job(client, box, monkeypatch):
    user = log_in(client, "operator")
    cases = [box.conflict(box.pair(name), title=(f"crm {name}", f"peer {name}")) for name in ("Byron", "Cayley")]
    asked = []
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: asked.append(a))

    page = client.get("/conflicts/bulk/?pass=prospects&field=title&take=peer").content.decode()
    keys = re.findall(r'name="key" value="([^"]+)"', page)
    assert len(keys) == 2 and "Title becomes <b>peer Byron</b>" in page
    answer = client.post("/conflicts/bulk/", {"pass": "prospects", "field": "title", "take": "peer", "key": keys, "reason": "cards"})

    assert answer.headers["Location"] == "/runs/"
    name, *arguments = asked[0]
    assert name == "reconciliation.jobs.settle_conflicts" and arguments[-1] == "cards"
    monkeypatch.setattr(jobs, "conflicts_settle", lambda *a, f=jobs.conflicts_settle, **k: f(*a, wiring=box.wiring, **k))
    assert jobs.settle_conflicts(*arguments) == "2 settled, 0 refused"
    assert [box.crm("Contact", c.crm_id)["Title"] for c in cases] == ["peer Byron", "peer Cayley"]
    assert set(Case.objects.values_list("decided_by", flat=True)) == {user.pk}
    assert "No open conflict of this field is left" in client.get("/conflicts/bulk/?pass=prospects&field=title&take=peer").content.decode()


@pytest.mark.parametrize(
    "form", [{}, {"key": ["x", "1", "9|y|z", "٣|a"], "pass": "prospects", "take": "crm"}, {"key": ["1|a"], "take": "typed"}]
)
def test_a_bulk_form_that_chooses_nothing_asks_for_no_job(client, box, case, form, monkeypatch):
    log_in(client, "operator")
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: pytest.fail("asked"))

    assert "Nothing was done" in client.post("/conflicts/bulk/", form, follow=True).content.decode()


def test_the_list_filters_by_field_pass_age_and_name_and_its_export_does_too(client, box, case):
    log_in(client, "viewer")
    other = box.conflict(box.pair("Byron"), title=("a", "b"))
    box.clock.forward(0)

    def listed(query):
        names = [r["record"] for r in read(client, f"/conflicts/export.csv?{query}")]
        page = client.get(f"/conflicts/?{query}").content.decode()
        assert all((name in page) is (name in names) for name in ("Lovelace", "Byron")), query
        return names

    assert listed("") == ["Byron", "Lovelace"]
    assert listed("field=custom1") == ["Lovelace"] and listed("name=byr") == ["Byron"]
    assert listed(f"sync_pass={box.sync_pass.pk}") == ["Byron", "Lovelace"]
    Case.objects.filter(pk=other.pk).update(opened_at="2099-01-01T00:00:00Z")
    assert listed("age=7") == ["Lovelace"]
    ConflictField.objects.filter(case=case, peer_field="custom1").update(state="peer")
    assert listed("field=custom1") == [] and listed("field=custom1&state=") == ["Lovelace"]
    assert listed("state=closed") == []
    assert "/conflicts/export.csv?field=title" in client.get("/conflicts/?field=title").content.decode()


def test_an_empty_queue_says_what_a_conflict_is(client, box):
    log_in(client, "viewer")

    assert "changed on both sides to different values" in client.get("/conflicts/").content.decode()


def test_who_has_it_open_is_told_to_the_next_and_a_case_can_be_given_to_a_colleague(client, box, case):
    first = log_in(client, "admin")
    assert client.post(f"/conflicts/{case.pk}/here/").json() == {"other": ""}
    second = log_in(client, "operator")

    assert client.post(f"/conflicts/{case.pk}/here/").json() == {"other": first.username}
    assert f"{first} has this case open" in client.get(f"/conflicts/{case.pk}/").content.decode()
    client.post(f"/conflicts/{case.pk}/decide/", {"decision": "later", "reason": "ask Ann", "assign_to": first.pk})
    case.refresh_from_db()
    assert (case.assigned_to, case.note, case.is_open) == (first, "ask Ann", True)
    assert AuditEntry.objects.get(action="conflict: later").username == second.username


def test_s3_12_what_gave_way_is_put_back_from_the_case_and_from_the_journal(client, box, case):
    log_in(client, "operator")
    seen = form_of(client.get(f"/conflicts/{case.pk}/").content.decode())
    client.post(f"/conflicts/{case.pk}/decide/", {**seen, "all": "crm"})
    operation = Operation.objects.filter(run__kind="staff").get()
    address = f"/journal/{operation.pk}/put-back/?field=title"
    for where in (f"/conflicts/{case.pk}/", f"/journal/{operation.pk}/"):
        assert f'href="{address}"' in client.get(where).content.decode(), where

    page = client.get(address).content.decode()
    assert "Salesforce, Contact" in page and "Outreach, prospect" in page and "<b>CEO</b>" in page
    answer = client.post(address, {"field": "title", "reason": "it was right"}, follow=True).content.decode()

    assert "is back in both systems" in answer
    assert box.crm("Contact", case.crm_id)["Title"] == box.peer(case.peer_id)["title"] == "CEO"
    assert "again already" in client.get(address).content.decode()
    page = client.get(f"/conflicts/{case.pk}/").content.decode()
    assert "put back by" in page and f'href="{address}"' not in page
    box.edit(box.binding(case.peer_id), crm={"Description": "typed since"})
    refused = client.post(address, {"field": "custom1"}, follow=True).content.decode()
    assert "Description was changed in Salesforce since" in refused and "Nothing was done" in refused


def test_the_badge_the_tile_and_the_alerts_count_conflicts(client, box, case):
    from reconciliation.core.alerts import QUEUES

    log_in(client, "viewer")
    page = client.get("/").content.decode()

    assert "Conflicts <b>1</b>" in page and "Open conflicts" in page
    assert QUEUES["conflict"] == ("conflicts", "conflict_list")


def test_no_page_of_a_conflict_needs_more_than_twelve_queries(client, box, case):
    log_in(client, "admin")
    client.get("/")
    other = box.conflict(box.pair("Byron"), title=("a", "b"))
    seen = form_of(client.get(f"/conflicts/{other.pk}/").content.decode())
    client.post(f"/conflicts/{other.pk}/decide/", {**seen, "all": "crm"})
    operation = Operation.objects.filter(run__kind="staff").get()

    pages = ["/conflicts/", "/conflicts/?state=", f"/conflicts/{case.pk}/", f"/conflicts/{other.pk}/"]
    pages += ["/conflicts/bulk/?pass=prospects&field=title&take=crm", f"/journal/{operation.pk}/"]
    pages += [f"/journal/{operation.pk}/put-back/?field=title"]
    for where in pages:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(where).status_code == 200, where
        assert len(queries) <= 12, (where, len(queries), [q["sql"].partition("FROM")[2][:60] or q["sql"][:60] for q in queries])
