"""What pages of two-way passes say: the right system, record and name; what was written; what is refused and what fails."""

import logging

import pytest
from django.utils import timezone

from reconciliation.engine import importing
from reconciliation.models import Case, FieldRule, Operation, Policy, Run, RunEvent
from reconciliation.selectors import last_day
from reconciliation.services.conflict_desk import Choice
from reconciliation.services.conflicts import bulk_rows, conflict_decide, conflicts_settle
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.remap import bulk_plans, remap_many
from reconciliation.services.remap_questions import asked_prospects
from tests.admin.test_exports import read
from tests.admin.test_pages import log_in
from tests.conflicting import conflicting
from tests.importing import make_importing
from tests.paired import paired
from tests.remapping import remapping

pytestmark = pytest.mark.django_db


@pytest.fixture
def opened(monkeypatch):
    """Lets pages reach the played systems of a box."""

    def use(box):
        monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
        monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
        return box

    return use


def test_an_error_names_the_system_that_refused_the_record_and_both_of_its_pages(client, opened):
    box = opened(paired())
    contact, prospect = box.linked("Byrne", "ada@acme.example")
    box.edit_peer(prospect, emails=["ada at acme"])  # Outreach takes it, Salesforce does not
    box.run()
    case = Case.objects.get(kind="error")
    assert case.reason == "refused_crm"
    log_in(client, "operator")

    listed, page = client.get("/errors/").content.decode(), client.get(f"/errors/{case.pk}/").content.decode()

    assert "Refused by Salesforce</a>" in listed and f"Salesforce Contact {contact}" in listed
    assert "Correct the values in Workbooks" not in listed and "Look again in Workbooks" not in listed and "Organisation" not in listed
    assert f"/records/salesforce/Contact/{contact}/" in page and f"/records/outreach/prospect/{prospect}/" in page
    (row,) = read(client, "/errors/export.csv")
    assert [row[n] for n in ("system", "type", "id", "Outreach id", "pass")] == [
        "Salesforce",
        "Contact",
        contact,
        str(prospect),
        "Prospects",
    ]
    assert client.get(f"/errors/?sync_pass={box.sync_pass.pk}&reason=refused_crm").content.decode().count("Salesforce Contact") == 1


def test_a_run_of_staff_lists_what_it_wrote_for_each_record_on_both_sides(client, opened, admin_user):
    box = opened(conflicting())
    case = box.conflict(box.pair("Lovelace"), title=("CTO", "CEO"))
    keys = [row.key for row in bulk_rows(box.sync_pass, "title", "crm")]
    conflicts_settle(keys, "crm", admin_user, wiring=box.wiring)
    event = RunEvent.objects.get(run__kind="staff")
    log_in(client, "viewer")

    run, one = client.get(f"/runs/{event.run_id}/").content.decode(), client.get(f"/events/{event.pk}/").content.decode()

    assert "<s>CEO</s> CTO" in run and '<span class="quiet">nothing</span>' not in run
    assert "<td>CEO <span" in one and "<td>CTO</td>" in one and "Nothing was written" not in one
    assert "title: CTO" in read(client, f"/runs/{event.run_id}/events.csv")[0]["written"] and case.peer_id in event.peer_ref


def test_a_remap_by_rule_lists_the_pointer_it_wrote(client, opened, admin_user):
    box = opened(remapping())
    _, prospect = box.pair()
    box.contact("Twin", "ada@acme.example")
    box.run()
    found = bulk_plans(box.sync_pass, asked_prospects(box.sync_pass), "latest", wiring=box.wiring)
    remap_many([plan.key for _, plan in found], admin_user, wiring=box.wiring)
    event = RunEvent.objects.get(run__kind="staff", outcome="updated")
    log_in(client, "viewer")

    page = client.get(f"/runs/{event.run_id}/").content.decode()

    assert "<b>externalId</b>" in page and f"/records/outreach/prospect/{prospect}/" in page


def test_both_records_of_a_pair_stand_under_their_own_names_and_the_list_says_what_still_waits(client, opened, admin_user):
    box = opened(conflicting())
    binding = box.pair("Lovelace")
    box.edit(binding, crm={"LastName": "Byron"})
    box.run()
    event = RunEvent.objects.filter(run=box.runs[-1]).get()
    log_in(client, "operator")
    assert client.get(f"/runs/{event.run_id}/").content.decode().count(">Byron</a>") == 2  # as the prospect is called by now
    FieldRule.objects.filter(peer_field="lastName").update(direction="to_crm")
    box.edit(binding, crm={"LastName": "King"})
    case = box.conflict(binding, title=("CTO", "CEO"), custom1=("ours", "theirs"))
    conflict_decide(case, {"title": Choice("crm")}, admin_user, wiring=box.wiring)

    page, listed = client.get(f"/conflicts/{case.pk}/").content.decode(), client.get("/conflicts/").content.decode()

    assert '>King</a> <span class="quiet">Contact' in page and '>Byron</a> <span class="quiet">prospect' in page
    assert "different values: custom1." in listed and "title" not in listed.partition("different values")[2].partition("</td>")[0]


def test_a_refused_order_is_no_failure(client, opened, admin_user, caplog):
    box = opened(conflicting())
    case = box.conflict(box.pair("Lovelace"), title=("CTO", "CEO"))
    box.edit(box.binding(case.peer_id), crm={"Title": "Chair"})

    with caplog.at_level(logging.INFO), pytest.raises(DecisionRefused):
        conflict_decide(case, {"title": Choice("peer", seen="0" * 16)}, admin_user, wiring=box.wiring)

    run = Run.objects.latest("pk")
    assert (run.state, run.get_state_display()) == ("refused", "Refused")
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    log_in(client, "viewer")
    assert '<span class="chip refused">Refused</span>' in client.get("/runs/?state=refused").content.decode()


def test_a_preview_changes_no_record_and_a_pass_before_its_first_run_says_so(client, opened):
    box = opened(paired())
    log_in(client, "viewer")
    before = client.get("/").content.decode()
    assert "no run has ended" in before and "within a minute" in before and "<dd data-seen>waits for its next run</dd>" in before
    box.contact("Byrne", "ada@acme.example")
    run = box.run(kind="preview")
    Run.objects.filter(pk=run.pk).update(started_at=timezone.now())

    assert run.created == 1 and sum(bar.changed for bar in last_day()) == 0
    box.sync_pass.is_on = False
    box.sync_pass.save()
    assert "nothing: it is switched off" in client.get("/").content.decode()


def test_undo_names_the_records_it_deletes(client, opened):
    box = opened(paired())
    for n in range(2):
        box.contact(f"Byrne{n}", f"a{n}@acme.example")
    run = box.run()
    log_in(client, "operator")

    page = client.get(f"/runs/{run.pk}/undo/").content.decode()

    assert "<b>2 prospects</b> deleted" in page and "Undo, deleting 2 prospects" in page and "account" not in page.partition("<h1")[2]


def test_s2_5_when_remapping_is_off_nothing_offers_it_and_the_questions_can_be_closed(client, opened, admin_user):
    box = opened(make_importing())
    first, second = box.contact("One", "same@example.com"), box.lead("Two", "same@example.com")
    for names in ([first], [second]):
        batch = box.start(names, admin_user, choose=True)
        importing.carry(batch, wiring=box.wiring)
    prospect = batch.rows.get().peer_id
    log_in(client, "operator")
    record = f"/records/outreach/prospect/{prospect}/"
    assert "Find matches" in client.get(record).content.decode()
    Policy.objects.update(same_email="prevent")

    page = client.get(f"/imports/{batch.pk}/").content.decode()

    assert "Find Salesforce matches" in page and "Choose the preferred CRM ID</a>" not in page and "Remapping is off" in page
    assert "Find matches" in client.get(record).content.decode()  # there the question is closed
    assert "Close them: keep the present IDs" in client.get("/prospects/").content.decode()
    answer = client.post("/prospects/keep/", {"back": "/prospects/"}, follow=True).content.decode()
    assert "1 prospect stays on its present CRM ID" in answer and "Close them" not in answer
    assert not Case.objects.filter(kind="remap", state="open").exists() and box.binding(prospect).crm_id == first
    assert "Find Salesforce matches" not in client.get(f"/imports/{batch.pk}/").content.decode()
    assert "Find matches" not in client.get(record).content.decode()
    form = {"choice": f"Lead:{second}", "decision": "update", "back": f"/prospects/{prospect}/matches/"}
    assert client.post(f"/prospects/{prospect}/decide/", form, follow=True).content.decode().count("Remapping is off: the setting") == 1
    listed = client.get("/imports/?failed=yes").content.decode()
    assert f'<a href="/imports/{batch.pk}/?state=failed">1</a>' in listed and f'href="/imports/{batch.pk - 1}/"' not in listed


def test_viewers_read_matches_policy_and_record_types_and_change_none(client, opened):
    box = opened(remapping())
    _, prospect = box.pair()
    box.contact("Twin", "ada@acme.example")
    type_ = box.sync_pass.record_types.first()
    log_in(client, "viewer")

    for where in (f"/prospects/{prospect}/matches/", "/dedupe-policy/", "/record-types/"):
        answer = client.get(where)
        page = answer.content.decode().partition("<main")[2] or answer.content.decode().partition("<h1")[2]
        assert answer.status_code == 200 and 'class="primary"' not in page and "<button>Save" not in page, where
        assert f'href="{where}"' in client.get("/prospects/" if "matches" in where else "/").content.decode(), where
    posts = [f"/prospects/{prospect}/decide/", "/prospects/keep/", "/dedupe-policy/", f"/record-types/{box.sync_pass.pk}/order/"]
    for where in [*posts, f"/record-types/{type_.pk}/save/", "/imports/preview/"]:
        assert client.post(where, {"decision": "update", "same_email": "prevent", "seen": "choose"}).status_code == 403, where
    assert Policy.objects.get().same_email == "choose" and not Operation.objects.filter(run__kind="staff").exists()


def test_moving_a_type_leads_back_to_its_row(client, opened):
    box = opened(paired())
    last = box.sync_pass.record_types.order_by("order").last()
    log_in(client, "admin")

    answer = client.post(f"/record-types/{box.sync_pass.pk}/order/", {"move": "up", "type": last.pk})

    assert answer["Location"] == f"/record-types/#type-{last.pk}"
    assert f'<li id="type-{last.pk}"' in client.get("/record-types/").content.decode()
