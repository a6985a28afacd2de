"""What one record holds, however odd, stops neither its neighbours nor the next run."""

import json

import pytest
from django.contrib.auth.models import User

from connectors.sandbox.wire import Response
from reconciliation.models import Binding, Case, FieldRule, Operation
from reconciliation.services import duplicates
from reconciliation.services.duplicates import Decision
from tests.sandboxed import DUPLICATE, PEER_ID, SYNC, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    return make()


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def refusing(box, fits, detail):
    """Outreach answers 400 to what fits."""
    handle = box.world.outreach.handle
    body = json.dumps({"errors": [{"id": "invalidFilter", "detail": detail}]}).encode()
    box.world.outreach.handle = lambda request: Response(400, body, template="x") if fits(request) else handle(request)


def test_a_text_that_looks_like_a_date_stays_a_text(box):
    box.organisation("12 Mar 2024", **{"main_location[town]": "01 Jan 2025"})

    run = box.run()

    assert run.created == 1
    (account,) = box.accounts()
    assert (account["name"], account["locality"]) == ("12 Mar 2024", "01 Jan 2025")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("12 Mar 2024", "2024-03-12T00:00:00.000Z"),
        (" 2 May 2026", "2026-05-02T00:00:00.000Z"),
        ("2024-03-12", "2024-03-12T00:00:00.000Z"),
        ("29 Feb 2024", "2024-02-29T00:00:00.000Z"),
    ],
)
def test_a_date_goes_where_an_instant_is_held(box, text, instant):
    FieldRule.objects.create(
        table=box.sync_pass.mapping, crm_field="organisation_category", peer_field="foundedAt", transform="date as instant"
    )
    box.organisation("Northwind Pumps", organisation_category=text)

    box.run()

    assert [account["foundedAt"] for account in box.accounts()] == [instant]


def test_a_moved_link_whose_old_organisation_is_ticked_again_is_a_duplicate(box, olga):
    first = box.organisation("Northwind")
    box.run()
    account = str(box.accounts()[0]["id"])
    box.clock.forward(300)
    box.organisation("Northwind")
    box.run()
    duplicates.duplicate_link(Decision(Case.objects.get(state="open"), olga, wiring=box.wiring), account, move=True)
    box.run(forward=300)

    box.edit(first, **{SYNC: True})
    box.organisation("A neighbour")
    run = box.run()

    assert (run.state, run.created, run.duplicates) == ("finished", 1, 1)
    assert len(box.accounts("Northwind")) == 1
    assert Binding.objects.get(is_tombstone=False, peer_id=account).crm_id != str(first)


def test_a_person_whose_outreach_id_is_no_number_has_no_prospect(box):
    organisation = box.organisation("Northwind")
    box.run()
    values = {"employer_link": organisation, "cf_person_sync_to_outreach": True, "cf_person_outreach_id": "abc"}
    box.world.workbooks.create_record("people", {"name": "P", **values})
    refusing(box, lambda q: "prospects" in q.path and "abc" in q.query, "abc is not an id")
    box.edit(organisation, industry="Food")

    run = box.run()

    assert (run.state, run.updated) == ("finished", 1)


def test_a_read_that_is_refused_interrupts_and_backs_off(box):
    box.organisation("Northwind")
    refusing(box, lambda q: q.method == "GET" and "accounts" in q.path, "no such filter")

    run = box.run()

    box.sync_pass.refresh_from_db()
    assert (run.state, run.held) == ("interrupted", 1)
    assert box.sync_pass.trouble_count == 1
    assert not Case.objects.exists()


def test_a_name_that_grows_when_folded_matches_itself(box):
    box.world.outreach.create_record("accounts", {"name": "ß" * 200})
    id_ = box.organisation("ß" * 200)

    run = box.run()

    assert run.duplicates == 1
    assert box.show(id_)[DUPLICATE] is True


def test_a_different_company_after_a_blanked_id_gets_an_account_of_its_own(box, olga):
    id_ = box.organisation("Northwind")
    box.run()
    box.edit(id_, **{PEER_ID: None})
    box.run(forward=300)
    case = Case.objects.get(state="open", reason="id_blanked")

    duplicates.duplicate_different(Decision(case, olga, wiring=box.wiring))
    run = box.run()

    assert run.created == 1
    assert len(box.accounts("Northwind")) == 2
    assert not Case.objects.filter(state="open").exists()


def test_a_link_by_staff_leaves_differences_though_the_mapping_changed_before(box, olga):
    FieldRule.objects.filter(peer_field="industry").update(since_version=2)
    box.sync_pass.mapping.version = 2
    box.sync_pass.mapping.save()
    account = box.world.outreach.create_record("accounts", {"name": "Northwind", "industry": "typed"})
    box.organisation("Northwind", industry="Food")
    box.run()

    duplicates.duplicate_link(Decision(Case.objects.get(), olga, wiring=box.wiring), str(account["id"]))
    box.run()

    assert box.accounts()[0]["industry"] == "typed"


def test_a_lost_answer_is_found_by_a_marker_in_another_attribute(box):
    box.sync_pass.peer.settings = {**box.sync_pass.peer.settings, "marker_attribute": "custom1"}
    box.sync_pass.peer.save()
    id_ = box.organisation("Northwind")
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "times": 1})

    for _ in range(4):
        box.run(forward=120)

    assert len(box.accounts()) == 1
    assert box.show(id_)[PEER_ID] == str(box.accounts()[0]["id"])
    assert not Case.objects.exists()


def test_an_owner_who_is_nobody_there_stays_listed_when_another_field_is_edited(box):
    id_ = box.organisation("Northwind", assigned_to_name="nobody")
    box.run()
    box.edit(id_, industry="Food")
    box.run(forward=300)

    assert Binding.objects.get().owner_text == "nobody"
    assert Binding.objects.get().is_without_owner


def test_prospects_that_cannot_be_moved_do_not_stop_their_organisation(box, olga):
    id_ = box.organisation("Northwind")
    box.run()
    box.world.outreach.create_record("prospects", {"firstName": "x", "emails": ["x@y.example"]})
    person = {"name": "P", "employer_link": id_, "cf_person_sync_to_outreach": True, "main_location[email]": "x@y.example"}
    box.world.workbooks.create_record("people", person)
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "PATCH", "path": "/api/v2/prospects/{id}"})
    box.edit(id_, industry="Food")
    for _ in range(6):
        box.run()

    case = Case.objects.get()
    assert (case.reason, case.flag) == ("people_refused", "none")
    assert box.show(id_)["cf_organisation_outreach_sync_error"] is not True
    box.edit(id_, industry="Health")
    assert box.run().updated == 1
    box.world.faults.clear()
    from reconciliation.services.errors import error_retry

    error_retry([case], olga, wiring=box.wiring)
    box.run()
    assert Operation.objects.filter(kind="move_prospect", state="confirmed").count() == 1
