"""What goes wrong in a two-way pass: a rule whose first write fails, pointers that are refused, conditions, records that
wait for long. None of it is silent, none keeps others from their turn."""

import pytest

from connectors.salesforce.connector import SalesforceConnector
from reconciliation.engine import pair_sweep
from reconciliation.models import Binding, Case, FieldRule, LookAgain, RecordType, Run, SyncPass
from reconciliation.services.errors import error_retry
from reconciliation.services.record_types import SWITCHES, RecordTypesRefused, type_set
from tests.paired import paired

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
PATCH = {"system": "outreach", "method": "PATCH", "path": "/api/v2/prospects/{id}"}
POST = {"system": "outreach", "method": "POST", "path": "/api/v2/prospects"}


@pytest.fixture
def box():
    return paired()


def record_type(crm_object):
    return RecordType.objects.select_related("sync_pass__crm").get(crm_object=crm_object)


def saved(row, conditions, user):
    return type_set(row, {name: getattr(row, name) for name in SWITCHES}, conditions, user)


# --- a changed rule whose first write fails -----------------------------------------------------------------------------
@pytest.mark.parametrize(("status", "more"), [(429, {"retry_after": 300}), (422, {})])
def test_a_changed_rule_is_carried_out_although_its_first_write_failed(box, admin_user, status, more):
    table = record_type("Contact").mapping
    FieldRule.objects.filter(table=table, peer_field="title").update(direction="to_peer")
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Boss")
    box.edit_peer(id_, title="Chef")
    box.run()
    table.version += 1
    table.save()
    FieldRule.objects.filter(table=table, peer_field="title").update(since_version=table.version, survivorship="crm", direction="both")
    fault = box.world.faults.add({"kind": "status", "status": status, **more, **PATCH})
    box.run(is_full=True)
    assert box.peer(id_)["title"] == "Chef"
    box.world.faults.all.remove(fault)

    if cases := list(Case.objects.filter(kind="error")):
        error_retry(cases, admin_user, wiring=box.wiring)
    box.run()
    box.run(is_full=True)

    assert (box.crm("Contact", contact)["Title"], box.peer(id_)["title"]) == ("Boss", "Boss")


# --- pointers ---------------------------------------------------------------------------------------------------------
def test_a_pointer_that_is_refused_is_told_once_sent_no_more_and_written_after_retry(box, admin_user):
    id_ = box.prospect("Evans", "eve@acme.example")
    fault = box.world.faults.add({"kind": "status", "status": 422, **PATCH})
    box.run()
    case = Case.objects.get(kind="error")
    assert case.reason == "pointer" and str(id_) in case.sentence and case.remedy
    box.run()
    box.calls()
    box.run()
    assert not any("PATCH" in call for call in box.calls())
    box.world.faults.all.remove(fault)

    error_retry([case], admin_user, wiring=box.wiring)
    box.run()

    assert box.peer(id_)["externalId"] == box.binding(id_).crm_id and not Binding.objects.filter(is_write_back_due=True).exists()
    assert not Case.objects.filter(state="open").exists()


# --- records that wait --------------------------------------------------------------------------------------------------
def test_records_that_wait_for_long_keep_none_from_its_turn_and_cost_a_quiet_run_nothing(box, monkeypatch):
    monkeypatch.setattr(pair_sweep, "OWED_ROWS", 2)
    RecordType.objects.update(held_reason="Region__c must be filled")
    for n in range(3):
        box.prospect(f"P{n}", f"p{n}@x.example")
    for _ in range(5):
        box.run(forward=60)
    contact = box.contact("Evans", "eve@acme.example")
    LookAgain.objects.create(sync_pass=box.sync_pass, side="crm", object_type="Contact", record_id=contact, reason="x", since=box.clock())
    box.run(forward=60)
    assert not LookAgain.objects.filter(record_id=contact).exists() and LookAgain.objects.count() == 3
    box.calls()

    box.run(forward=60)

    assert not any("{id}" in call or "filter[id]" in call for call in box.calls()), box.calls()


def test_what_waited_for_the_mapping_is_looked_at_as_soon_as_it_is_mended(box, admin_user):
    RecordType.objects.update(held_reason="Region__c must be filled")
    box.prospect("Evans", "eve@acme.example")
    for _ in range(6):
        box.run(forward=60)
    assert LookAgain.objects.get().due_at > box.clock()
    RecordType.objects.update(held_reason="")

    saved(record_type("Lead"), [["Company", "is not blank", ""]], admin_user)  # any saved terms count as mended ones
    run = box.run(forward=60)

    assert run.created == 1 and not LookAgain.objects.exists(), box.events()


# --- polling conditions -------------------------------------------------------------------------------------------------
def test_a_record_outside_the_conditions_is_neither_linked_nor_written_nor_made_a_second_time(box, admin_user):
    saved(record_type("Contact"), [["Title", "is", "Buyer"]], admin_user)
    contact = box.contact("Evans", "eve@acme.example", Title="Engineer")
    id_ = box.prospect("Evans", "eve@acme.example", firstName="Eve")

    box.run()
    box.run()

    assert not Binding.objects.exists() and not box.people("Lead") and box.crm("Contact", contact).get("FirstName") is None
    assert any(reason == "conditions" for _, reason, _ in box.events(box.runs[0])), box.events(box.runs[0])
    box.edit_crm("Contact", contact, Title="Buyer")
    box.run()
    assert box.binding(id_).crm_id == contact and box.crm("Contact", contact)["FirstName"] == "Eve"


def test_a_link_rests_outside_the_conditions_and_loses_nothing(box, admin_user):
    contact, id_ = box.linked("Evans", "eve@acme.example", Title="Buyer", Phone="1")
    saved(record_type("Contact"), [["Title", "is", "Buyer"]], admin_user)
    box.run()
    box.edit_crm("Contact", contact, Title="Engineer")
    box.edit_peer(id_, workPhones=["2"])
    box.run()
    assert (box.crm("Contact", contact)["Phone"], box.peer(id_)["title"]) == ("1", "Buyer")

    box.edit_crm("Contact", contact, Title="Buyer")
    box.run()

    assert box.crm("Contact", contact)["Phone"] == "2"


def test_records_that_meet_changed_conditions_are_taken_up_though_nobody_edits_them(box, admin_user):
    saved(record_type("Contact"), [["Title", "is", "Buyer"]], admin_user)
    box.contact("Evans", "eve@acme.example", Title="Engineer")
    box.run()
    assert not box.prospects()

    saved(record_type("Contact"), [], admin_user)
    box.run()

    assert len(box.prospects()) == 1


def test_a_retried_record_that_left_the_conditions_is_not_made(box, admin_user):
    saved(record_type("Contact"), [["Title", "is", "Buyer"]], admin_user)
    contact = box.contact("Evans", "eve@acme.example", Title="Buyer")
    fault = box.world.faults.add({"kind": "status", "status": 422, **POST})
    box.run()
    box.world.faults.all.remove(fault)
    box.edit_crm("Contact", contact, Title="Engineer")

    error_retry(list(Case.objects.filter(kind="error")), admin_user, wiring=box.wiring)
    box.run()

    assert not box.prospects()


def test_a_condition_on_a_number_is_asked_as_a_number_and_nonsense_is_refused_when_it_is_saved(box, admin_user):
    box.sync_pass.crm.schema_cache = {"Lead": {"NumberOfEmployees": {"type": "integer"}, "HasOptedOutOfEmail": {"type": "boolean"}}}
    box.sync_pass.crm.save()
    box.lead("Evans", "eve@acme.example", NumberOfEmployees=50)
    box.lead("Ford", "fay@acme.example", NumberOfEmployees=51)
    with pytest.raises(RecordTypesRefused, match="no number"):
        saved(record_type("Lead"), [["NumberOfEmployees", "is", "many"]], admin_user)

    saved(record_type("Lead"), [["NumberOfEmployees", "is", "50"], ["HasOptedOutOfEmail", "is", "false"]], admin_user)
    run = box.run()

    assert run.state == "finished" and [p["lastName"] for p in box.prospects()] == ["Evans"], (run.note, box.events())


def test_a_condition_that_the_crm_refuses_holds_the_pass_until_it_is_corrected(box, admin_user):
    box.lead("Evans", "eve@acme.example")
    saved(record_type("Lead"), [["Gone__c", "is", "x"]], admin_user)
    box.run()
    case = Case.objects.get(kind="mapping")
    assert SyncPass.objects.get().hold_reason and "Record types" in case.remedy and "Gone__c" in case.remedy

    saved(record_type("Lead"), [], admin_user)
    run = box.run()

    assert run.state == "finished" and len(box.prospects()) == 1
    assert Case.objects.get(kind="mapping").state == "closed"


# --- plans --------------------------------------------------------------------------------------------------------------
def test_c35_what_was_changed_while_a_plan_is_carried_out_is_refused_not_merged_anew(box, monkeypatch):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Boss", Phone="1")
    box.edit_peer(id_, title="Chef")
    plan = box.run(kind=Run.Kind.PREVIEW)
    write, rival = SalesforceConnector.write, [{"Phone": "999"}]

    def written(self, object_type, writes):
        if rival:
            box.clock.forward(5)
            box.edit_crm("Contact", contact, **rival.pop())
        return write(self, object_type, writes)

    monkeypatch.setattr(SalesforceConnector, "write", written)
    run = box.run(kind=Run.Kind.APPLY, apply_of=plan.pk)

    assert run.excluded == {"changed_meanwhile": 1} and box.peer(id_)["workPhones"] == ["1"], box.events()
    box.run()
    assert (box.crm("Contact", contact)["Title"], box.peer(id_)["workPhones"]) == ("Chef", ["999"])


# --- edits of other programs --------------------------------------------------------------------------------------------
def test_d10_an_edit_that_another_program_made_last_wins_by_no_time_and_a_person_is_asked(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Boss")
    program = box.crm("Contact", contact)["LastModifiedById"]
    box.sync_pass.crm.settings |= {"integration_users": [program]}
    box.sync_pass.crm.save()
    box.edit_peer(id_, title="Chef")
    box.clock.forward(300)
    box.edit_crm("Contact", contact, Title="Chief", Phone="2")

    run = box.run()

    case = Case.objects.get(kind="conflict")
    assert (box.crm("Contact", contact)["Title"], box.peer(id_)["title"]) == ("Chief", "Chef"), run.note
    assert "Another program" in f"{case.sentence} {[f.why for f in case.fields.all()]}" and box.peer(id_)["workPhones"] == ["2"]
