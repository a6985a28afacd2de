"""*Pull data down from Salesforce* and *Force update all fields* (S2.8, S2.14, S2.15, D29), and their undo."""

import pytest
from django.contrib.auth.models import User

from reconciliation.models import Binding, Case, Difference, FieldRule, Operation, RecordType
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.pull import Choice, pull, pull_plan
from reconciliation.services.undo import undo, undo_plan
from tests.remapping import remapping

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
FORCE = Choice(is_forced=True)


@pytest.fixture
def box():
    return remapping()


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def remapped(box, olga):
    """A prospect that was just remapped to a lead with other values."""
    _, id_ = box.pair()
    lead = box.lead("Smith", "ada@acme.example", Title="Chief", FirstName="Ada")
    box.active(id_, tasks=2, sequences=1)
    box.remap(olga, id_, "Lead", lead)
    return lead, id_


def plan(box, id_, choice=FORCE):
    return pull_plan(box.sync_pass, str(id_), choice, wiring=box.wiring)


def sync(box, by, id_, choice=FORCE, **more):
    return pull(box.sync_pass, str(id_), choice, by=by, wiring=box.wiring, **more)


def rest(box):
    box.run()
    box.calls()
    box.run()
    assert box.writes() == {}, box.events()


def taken_back(box, by, operation):
    row = Operation.objects.select_related("connection", "run").get(pk=operation)
    (line,) = undo(box.sync_pass, [row], by, wiring=box.wiring)
    return line


def test_s2_14_without_force_only_what_was_edited_since_goes_down(box, olga, remapped):
    lead, id_ = remapped
    assert plan(box, id_, Choice()).writes == [] and sync(box, olga, id_, Choice()).fields == ()

    box.edit_crm("Lead", lead, Phone="99")
    shown = plan(box, id_, Choice())
    assert [(w.name, w.crm, w.becomes) for w in shown.writes] == [("workPhones", "99", ("99",))]
    assert {line.name for line in shown.held} >= {"title", "lastName"} and "force" in shown.held[0].note
    box.calls()
    done = sync(box, olga, id_, Choice(), seen=shown.seen)

    assert done.fields == ("workPhones",) and box.peer(id_)["workPhones"] == ["99"] and box.peer(id_)["title"] == "Buyer"
    assert box.writes() == {"PATCH /api/v2/prospects/{id}": 1}
    rest(box)


@pytest.mark.parametrize("why", ["margin", "restore", "echo", "rest"])
def test_d29_without_force_what_the_pass_leaves_to_a_person_is_not_decided(box, why):
    """The merge is the pass's own, with its margin, its guard after a restored backup, its rule for the date of an edit that we
    saw before, and its polling conditions."""
    contact, id_ = box.pair()
    box.edit_peer(id_, title="Chef")
    box.clock.forward(600)
    box.edit_crm("Contact", contact, Title="Chief")
    assert [w.name for w in plan(box, id_, Choice()).writes] == ["title"]  # the later edit wins, as it would in the pass
    if why == "margin":
        box.sync_pass.settings = {"margin_seconds": 3600}
    elif why == "restore":
        box.sync_pass.restored_at = box.clock.at
    elif why == "echo":
        Binding.objects.update(crm_version=_version(box, contact))
    else:
        RecordType.objects.update(conditions=[["Title", "is", "Buyer"]])
    box.sync_pass.save()

    shown = plan(box, id_, Choice())

    said = {"margin": "within 3,600 seconds", "restore": "restored from a backup", "echo": "Nobody knows when", "rest": "conditions"}
    assert shown.writes == [] and said[why] in next(line.note for line in shown.held if line.name == "title")
    box.run(forward=1)
    assert (box.crm("Contact", contact)["Title"], box.peer(id_)["title"]) == ("Chief", "Chef"), box.events()


def _version(box, contact):
    crm = box.wiring.open_connector(box.sync_pass.crm)
    return crm.read("Contact", [contact], ["Title"])[0].version


def test_d29_without_force_a_rule_with_a_new_meaning_is_carried_out_as_the_pass_would(box, olga):
    rules = FieldRule.objects.filter(peer_field="title")
    rules.update(direction="to_peer")
    _, id_ = box.pair()
    box.edit_peer(id_, title="Chef")
    box.run()
    for rule in rules.select_related("table"):
        rule.table.version += 1
        rule.table.save()
        FieldRule.objects.filter(pk=rule.pk).update(since_version=rule.table.version, direction="both", survivorship="crm")

    assert sync(box, olga, id_, Choice()).fields == ("title",) and box.peer(id_)["title"] == "Buyer"
    rest(box)


def test_s2_15_force_takes_every_mapped_field_and_leaves_tasks_and_sequences(box, olga, remapped):
    lead, id_ = remapped
    before, life = box.peer(id_), box.life(id_)
    shown = plan(box, id_)
    assert {w.name for w in shown.writes} == {"title", "lastName", "firstName", "company"}
    box.calls()

    done = sync(box, olga, id_, seen=shown.seen, reason="the lead is right")

    assert box.changed(before, id_) - {"name"} == set(done.fields) == {"title", "lastName", "firstName", "company"}
    now = box.peer(id_)
    assert (now["title"], now["lastName"], now["firstName"], now["company"]) == ("Chief", "Smith", "Ada", "Acme")
    assert now["workPhones"] == ["1"]  # blank in Salesforce: only after ticking also blanks
    assert box.life(id_) == life and box.writes() == {"PATCH /api/v2/prospects/{id}": 1}
    assert set(Operation.objects.get(pk=done.operation_id).after) == set(done.fields)  # only what differs was sent
    assert {d.peer_field for d in Difference.objects.all()} <= {"workPhones"}
    rest(box)
    assert box.crm("Lead", lead)["Title"] == "Chief"


def test_s2_8_s2_22_after_a_remap_alone_the_values_wait_for_force(box, olga, remapped):
    lead, id_ = remapped
    rest(box)
    assert (box.peer(id_)["title"], box.peer(id_)["lastName"]) == ("Buyer", "Byrne")

    sync(box, olga, id_)

    assert (box.peer(id_)["title"], box.peer(id_)["lastName"]) == ("Chief", "Smith") and box.binding(id_).crm_id == lead


def test_d29_blanks_go_across_only_when_asked_for(box, olga, remapped):
    _, id_ = remapped
    assert {line.name: line.note for line in plan(box, id_).held}["workPhones"].startswith("blank there")

    sync(box, olga, id_, Choice(is_forced=True, also_blanks=True))

    assert not box.peer(id_)["workPhones"] and box.peer(id_)["title"] == "Chief"
    assert not Difference.objects.exists()
    rest(box)


def test_d29_fields_whose_updates_are_off_are_marked_and_go_across_when_forced(box, olga, remapped):
    _, id_ = remapped
    FieldRule.objects.filter(peer_field="title").update(direction="none")

    marked = {w.name: w.is_off for w in plan(box, id_).writes}
    assert marked["title"] and not marked["lastName"]
    sync(box, olga, id_, Choice(is_forced=True, fields=frozenset({"title"})))

    assert (box.peer(id_)["title"], box.peer(id_)["lastName"]) == ("Chief", "Byrne")
    RecordType.objects.update(inbound_update=False)
    assert all(w.is_off for w in plan(box, id_).writes)


def test_an_opt_out_is_never_taken_back_by_force_and_one_that_is_missing_arrives(box, olga, remapped):
    lead, id_ = remapped
    box.edit_peer(id_, emailOptedOut=True)
    box.edit_crm("Lead", lead, DoNotCall=True)

    sync(box, olga, id_, Choice(is_forced=True, also_blanks=True))

    assert box.peer(id_)["emailOptedOut"] is True and box.peer(id_)["callOptedOut"] is True
    sync(box, olga, id_, Choice(source="peer", is_forced=True))
    assert box.crm("Lead", lead)["HasOptedOutOfEmail"] is True


def test_d29_force_towards_salesforce(box, olga, remapped):
    lead, id_ = remapped
    choice = Choice(source="peer", is_forced=True)
    shown = plan(box, id_, choice)
    assert {(w.rule.crm, w.becomes) for w in shown.writes} >= {("Title", "Buyer"), ("LastName", "Byrne"), ("Phone", "1")}

    done = sync(box, olga, id_, choice, seen=shown.seen)

    now = box.crm("Lead", lead)
    assert (now["Title"], now["LastName"], now["Phone"], now["FirstName"]) == ("Buyer", "Byrne", "1", "Ada")
    assert done.operation_id and box.peer(id_)["title"] == "Buyer"
    rest(box)


def test_values_that_changed_since_they_were_shown_are_refused(box, olga, remapped):
    lead, id_ = remapped
    seen = plan(box, id_).seen
    box.edit_crm("Lead", lead, Title="Chairman")
    box.calls()

    with pytest.raises(DecisionRefused, match="changed while"):
        sync(box, olga, id_, seen=seen)
    assert box.writes() == {} and box.peer(id_)["title"] == "Buyer"


def test_other_edits_stay_to_be_found_by_the_next_run(box, olga, remapped):
    lead, id_ = remapped
    box.edit_peer(id_, workPhones=["7"])
    sync(box, olga, id_, Choice(is_forced=True, fields=frozenset({"title"})))

    box.run()

    assert box.crm("Lead", lead)["Phone"] == "7" and box.peer(id_)["title"] == "Chief"


def test_what_is_linked_to_nothing_says_so(box, olga):
    free = box.prospect("Evans", "eve@acme.example")

    with pytest.raises(DecisionRefused, match="linked to nothing"):
        plan(box, free)


def test_c36_a_force_update_and_a_remap_are_taken_back(box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Smith", "ada@acme.example", Title="Chief")
    done = box.remap(olga, id_, "Lead", lead)
    forced = sync(box, olga, id_)

    assert taken_back(box, olga, forced.operation_id).is_possible
    assert (box.peer(id_)["title"], box.peer(id_)["lastName"]) == ("Buyer", "Byrne")
    rest(box)
    assert box.peer(id_)["title"] == "Buyer"
    line = taken_back(box, olga, done.operation_id)

    assert line.is_possible and f"belongs to Contact {contact} again" in line.sentence
    assert box.peer(id_)["externalId"] == contact and box.binding(id_).crm_id == contact
    rest(box)
    assert len(box.prospects()) == 1 and box.peer(id_)["title"] == "Buyer"
    assert not taken_back(box, olga, done.operation_id).is_possible


def test_c36_the_question_that_a_remap_answered_is_asked_again_when_it_is_taken_back(box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Smith", "ada@acme.example")
    box.run()
    case = Case.objects.get(kind="remap", state="open", crm_id=lead)
    done = box.remap(olga, id_, "Lead", lead)
    assert Case.objects.get(pk=case.pk).decision == "remap"

    assert taken_back(box, olga, done.operation_id).is_possible

    case.refresh_from_db()
    assert (case.state, case.decision, case.decided_by, case.closed_at) == ("open", "", None, None) and "taken back" in case.note
    assert box.binding(id_).crm_id == contact


def test_c36_a_link_that_was_moved_goes_back_to_both(box, olga):
    contact, id_ = box.pair()
    taken, other = box.pair("Diaz", "cleo@acme.example")
    box.edit_crm("Contact", taken, Email="ada@acme.example")
    done = box.remap(olga, id_, "Contact", taken, move_link=True)
    row = Operation.objects.select_related("connection", "run").get(pk=done.operation_id)
    (line,) = undo_plan(box.sync_pass, [row], wiring=box.wiring)
    assert f"prospect {other} gets its link back" in line.sentence

    assert taken_back(box, olga, done.operation_id).is_possible

    assert (box.binding(id_).crm_id, box.binding(other).crm_id) == (contact, taken)
    assert (box.peer(id_)["externalId"], box.peer(other)["externalId"]) == (contact, taken)
    assert box.peer(other)["externalSource"] == "salesforce"
    box.run()


def test_a_remap_is_not_taken_back_while_remapping_is_off_or_after_another(box, olga):
    from reconciliation.models import Policy

    contact, id_ = box.pair()
    lead, second = box.lead("Byrne", "ada@acme.example"), box.lead("Byrne", "ada@acme.example")
    first = box.remap(olga, id_, "Lead", lead)
    Policy.objects.update(same_email="prevent")
    assert "remapping is off" in taken_back(box, olga, first.operation_id).sentence
    Policy.objects.update(same_email="choose")
    box.remap(olga, id_, "Lead", second)

    assert "linked to another record since" in taken_back(box, olga, first.operation_id).sentence
    assert box.binding(id_).crm_id == second and contact
