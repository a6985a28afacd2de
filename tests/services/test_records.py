"""One search over present and former names, e-mails and ids of everything that was ever seen, and each record's history."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from connectors.contract import Ref
from reconciliation.models import Operation, Run, SearchKey
from reconciliation.services.record_history import field_history, timeline
from reconciliation.services.records import home_of, search
from reconciliation.services.undo import undo, undoable
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    return make()


def found(box, text):
    return [(str(f.ref), f.name, f.state, f.why) for f in search(box.sync_pass, text, wiring=box.wiring).found]


def test_a_former_name_finds_the_record_and_says_so(box):
    id_ = box.organisation("Northwind Pumps")
    box.run()
    box.edit(id_, name="Zephyr Engineering")
    box.run()

    assert found(box, "northwind") == [(f"workbooks:organisation:{id_}", "Zephyr Engineering", "linked", "formerly “Northwind Pumps”")]
    assert found(box, "ZEPHYR") == [(f"workbooks:organisation:{id_}", "Zephyr Engineering", "linked", "")]


def test_a_name_that_came_back_is_no_former_one(box):
    id_ = box.organisation("Northwind Pumps")
    for name in (None, "Zephyr", "Northwind Pumps"):
        if name:
            box.edit(id_, name=name)
        box.run()

    assert [f[3] for f in found(box, "northwind")] == [""]


def test_ids_of_either_side_find_the_record(box):
    id_ = box.organisation("Northwind Pumps")
    box.organisation("Other")
    box.run()
    account = box.accounts("Northwind Pumps")[0]["id"]

    assert (f"workbooks:organisation:{id_}", "Northwind Pumps", "linked", "by its id") in found(box, str(id_))
    assert found(box, f"outreach:account:{account}")[0][:2] == (f"outreach:account:{account}", "Northwind Pumps")
    assert home_of(box.sync_pass, Ref("outreach", "account", str(account))) == Ref("workbooks", "organisation", str(id_))


def test_people_and_their_prospects_are_found_by_e_mail_and_name(box):
    id_ = box.organisation("Northwind Pumps")
    prospect = box.world.outreach.create_record("prospects", {"firstName": "Ada", "lastName": "Byrne", "emails": ["ada@x.example"]})
    person = {"name": "Ada Byrne", "employer_link": id_, "main_location[email]": "ADA@x.example", "cf_person_sync_to_outreach": True}
    person = box.world.workbooks.create_record("people", person)
    box.run()

    assert {f[0] for f in found(box, "ada@x")} == {f"workbooks:person:{person['id']}", f"outreach:prospect:{prospect['id']}"}
    assert {f[1] for f in found(box, "Ada By")} == {"Ada Byrne"}
    assert home_of(box.sync_pass, Ref("outreach", "prospect", str(prospect["id"]))) == Ref("workbooks", "person", str(person["id"]))


def test_duplicates_errors_and_what_was_never_linked_are_found_with_their_state(box):
    box.world.outreach.create_record("accounts", {"name": "Twin"})
    twin, refused = box.organisation("Twin"), box.organisation("Refused")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    unseen = box.world.workbooks.create_record("organisations", {"name": "Never ticked"})

    states = {f[0]: f[2] for f in (*found(box, "Twin"), *found(box, "Refused"), *found(box, "Never ticked"))}

    assert states[f"workbooks:organisation:{twin}"] == "duplicate" and states["outreach:account:1"] == "unlinked"
    assert states[f"workbooks:organisation:{refused}"] == "error"
    assert states[f"workbooks:organisation:{unseen['id']}"] == "unseen"


def test_an_account_renamed_in_outreach_is_found_by_its_former_name(box):
    account = box.world.outreach.create_record("accounts", {"name": "Old Name"})
    box.organisation("First")
    box.run()
    box.clock.forward(300)
    box.world.outreach.update_record("accounts", account["id"], {"name": "New Name"})
    box.organisation("Second")  # a create reads what accounts changed
    box.run()

    assert found(box, "old na") == [(f"outreach:account:{account['id']}", "New Name", "unlinked", "formerly “Old Name”")]


def test_a_quiet_pass_and_an_echo_cost_no_query_for_the_index(box):
    box.organisation("Northwind Pumps")
    box.run()
    box.run()
    box.clock.forward(300)
    box.run()

    with CaptureQueriesContext(connection) as queries:
        box.run()

    assert not [q for q in queries if any(f"reconciliation_{t}" in q["sql"] for t in ("searchkey", "difference", "tombstone"))]


def test_a_batch_of_creates_costs_one_upsert_of_the_index(box):
    for n in range(60):
        box.organisation(f"Company {n}")

    with CaptureQueriesContext(connection) as queries:
        box.run()

    assert len([q for q in queries if q["sql"].startswith("INSERT") and "searchkey" in q["sql"]]) == 1
    assert SearchKey.objects.count() == 60


def test_names_of_a_run_that_died_are_indexed_by_the_next(box):
    id_ = box.organisation("Northwind Pumps")
    run = box.run()
    SearchKey.objects.all().delete()
    Run.objects.filter(pk=run.pk).update(state=Run.State.RUNNING)

    box.run()

    assert SearchKey.objects.get().ref == f"workbooks:organisation:{id_}"


@pytest.fixture
def changed(box):
    """A town that a pass changed, on behalf of somebody in Workbooks."""
    id_ = box.organisation("Northwind Pumps", **{"main_location[town]": "Leeds"})
    box.run()
    box.clock.forward(30)
    box.edit(id_, **{"main_location[town]": "Bath"})
    return id_, box.run()


def history(box, id_, name="locality"):
    return field_history(box.sync_pass, Ref("workbooks", "organisation", str(id_)), name)


def test_who_changed_a_field_by_a_pass_by_whom_and_by_which_rule(box, changed):
    id_, run = changed

    change = history(box, id_).changes[0]

    assert (change.before, change.after, change.how, change.operation.run_id) == ("Leeds", "Bath", "Pass", run.pk)
    assert change.who and change.source == "workbooks"
    assert (change.rule.crm_field, change.rule.peer_field, change.mapping_version) == ("main_location[town]", "locality", 1)
    assert history(box, id_, "main_location[town]").changes[0].after == "Bath"  # either name of the pair leads there


def test_who_changed_a_field_by_an_undo_and_why(box, changed):
    id_, run = changed
    olga = User.objects.create(username="olga")
    undo(box.sync_pass, list(undoable(run)), olga, reason="typed into the wrong company", wiring=box.wiring)

    newest, older, _ = history(box, id_).changes

    assert (newest.before, newest.after, newest.how, newest.who) == ("Bath", "Leeds", "Undo", "olga")
    assert newest.why == "typed into the wrong company" and newest.undo_of == older.operation.pk
    assert older.operation.undone_at is not None


def test_a_field_of_workbooks_itself_has_a_history_too(box, changed):
    id_, _ = changed

    change = history(box, id_, "cf_organisation_outreach_id").changes[-1]

    assert change.system == box.sync_pass.crm.name and change.after == str(box.accounts()[0]["id"])


def test_the_timeline_tells_writes_cases_and_looks_newest_first(box):
    box.world.outreach.create_record("accounts", {"name": "Twin"})
    id_ = box.organisation("Twin")
    box.run()

    entries = timeline(box.sync_pass, Ref("workbooks", "organisation", str(id_))).entries

    assert {e.what.split(" in ")[0] for e in entries} == {"Looked at", "Duplicate case opened", "Set or clear a flag"}
    assert [e.at for e in entries] == sorted((e.at for e in entries), reverse=True)


def test_planned_and_refused_writes_are_no_changes_of_a_field(box, changed):
    id_, _ = changed
    box.edit(id_, **{"main_location[town]": "York"})
    box.run(kind=Run.Kind.PREVIEW)

    assert Operation.objects.filter(state="planned").exists()
    assert history(box, id_).changes[0].after == "Bath"


def test_a_case_that_no_name_leads_to_is_found_by_its_id(box):
    refused = box.organisation("Refused")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})
    box.run()
    SearchKey.objects.all().delete()  # an installation older than the index

    (hit,) = [f for f in search(box.sync_pass, str(refused), wiring=box.wiring).found if f.ref.object_type == "organisation"]

    assert (hit.name, hit.state) == ("Refused", "error")


def test_who_changed_a_field_by_a_conflict_rule_and_what_gave_way(box):
    """Both sides changed it: the row goes one way, so Workbooks wins, and what Outreach's people typed is kept."""
    id_ = box.organisation("Northwind", industry="Food")
    box.run()
    box.clock.forward(300)
    account = box.accounts()[0]["id"]
    box.world.outreach.update_record("accounts", account, {"industry": "Typed in Outreach"})
    box.edit(id_, industry="Energy")

    run = box.run()

    (change, _) = field_history(box.sync_pass, Ref("workbooks", "organisation", str(id_)), "industry").changes
    assert (change.how, change.before, change.after) == ("Conflict rule", "Typed in Outreach", "Energy")
    assert change.winner == "the mapping row goes one way, so Workbooks wins" and change.rule.crm_field == "industry"
    assert change.operation.origin["losers"] == {"industry": "Typed in Outreach"}
    event = run.events.get(outcome="updated")
    assert "industry: “Typed in Outreach”, entered in Outreach meanwhile, gave way; the journal keeps it" in event.sentence


def test_an_edit_of_one_side_and_a_create_beat_nobody(box):
    id_ = box.organisation("Northwind", industry="Food")
    box.run()
    box.clock.forward(300)
    box.edit(id_, industry="Energy")
    box.run()

    assert [op.origin.get("losers") for op in Operation.objects.all()] == [None] * Operation.objects.count() != []
