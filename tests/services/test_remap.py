"""Which record of Salesforce a prospect belongs to: seed 002, through the services, against the played systems."""

import pytest
from django.contrib.auth.models import User

from connectors.errors import ConnectionTrouble
from reconciliation.engine.relinking import NotRelinked, Step, carry
from reconciliation.engine.staff import at_work
from reconciliation.models import (
    AuditEntry,
    Binding,
    Case,
    Difference,
    LookAgain,
    Operation,
    Policy,
    ProspectMatches,
    RecordType,
    RememberedPair,
    Run,
    RunEvent,
    Tombstone,
)
from reconciliation.selectors import last_remap
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.errors import error_retry
from reconciliation.services.matches import find_matches, kept_matches, terms_of
from reconciliation.services.remap import bulk_plans, remap_many, remap_plan
from reconciliation.services.remap_questions import asked_prospects, remap_ask_again, remap_close, remap_keep
from reconciliation.services.restore import restore, restore_plan
from reconciliation.services.undo import undo
from tests.remapping import remapping

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    return remapping()


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def matches(box, prospect):
    return find_matches(box.sync_pass, str(prospect), wiring=box.wiring)


def choose(box, by, prospect, type_, id_, **more):
    return box.remap(by, prospect, type_, id_, **more)


def rest(box):
    """Runs until everything is at rest and asserts that a further run writes nothing."""
    box.run()
    box.calls()
    box.run()
    assert box.writes() == {}, box.events()


# --- what is found --------------------------------------------------------------------------------------------------


def test_s2_17_s2_18_candidates_come_with_type_id_and_the_two_counts(box):
    contact, id_ = box.pair()
    lead = box.lead("Byrne", "ADA@acme.example", FirstName="Ada", Company="Acme Ltd", Title="Chief")
    box.active(id_, tasks=3, sequences=2)

    found = matches(box, id_)

    assert (found.active.tasks, found.active.sequences) == (3, 2)
    assert [(c.type, c.id, c.is_current) for c in found.candidates] == [("Contact", contact, True), ("Lead", lead, False)]
    other = found.candidates[1]
    assert (other.name, other.company, other.url) == ("Ada Byrne", "Acme Ltd", f"https://sf.example/Lead/{lead}")
    assert other.owner and other.changed_at is not None
    assert other.why == "Same e-mail address ada@acme.example" and found.candidates[0].why.startswith("The present link; same e-mail")
    assert other.fields["title"] == ["Chief", True] and other.fields["lastName"] == ["Byrne", False]
    row = ProspectMatches.objects.get()
    assert (row.active_tasks, row.active_sequences, row.read_at, len(row.candidates)) == (3, 2, box.clock.at, 2)


def test_every_address_of_the_prospect_is_searched_for(box):
    contact, id_ = box.pair()
    box.edit_peer(id_, emails=["ada@acme.example", "Ada@Home.example"])
    lead = box.lead("Byrne", "ada@home.example")

    assert {c.id for c in matches(box, id_).candidates} == {contact, lead}


def test_s2_18_a_candidate_of_another_prospect_says_so_with_that_ones_counts(box):
    _, id_ = box.pair()
    taken, other = box.pair("Diaz", "cleo@acme.example")
    box.edit_crm("Contact", taken, Email="ada@acme.example")
    box.active(other, tasks=1, sequences=3)

    candidate = matches(box, id_).candidate("Contact", taken)

    holder = candidate.bound_to
    assert (holder.id, holder.name, holder.active.tasks, holder.active.sequences) == (str(other), "Diaz", 1, 3)


def test_s2_21_d9_one_candidate_is_a_choice_only_where_it_is_not_the_present_one(box):
    contact, id_ = box.pair()
    assert not matches(box, id_).has_choice

    lead = box.lead("Byrne", "ada@acme.example")
    box.world.salesforce.delete_record("Contact", contact)

    found = matches(box, id_)
    assert found.has_choice and [(c.id, c.fate) for c in found.candidates] == [(contact, "deleted"), (lead, "living")]
    assert "was deleted" in remap_plan(found, "Contact", contact).refusal


def test_d9_what_a_present_link_was_converted_to_is_a_candidate(box):
    box.run()
    lead = box.lead("Byrne", "ada@acme.example")
    box.run()
    id_ = int(Binding.objects.get().peer_id)
    contact = box.world.salesforce.convert({"lead": lead})["ConvertedContactId"]

    found = matches(box, id_)

    assert [(c.type, c.id, c.fate) for c in found.candidates] == [("Lead", lead, "converted"), ("Contact", contact, "living")]
    assert "choose that one" in remap_plan(found, "Lead", lead).refusal


def test_without_the_right_to_tasks_the_counts_are_unknown_and_the_rest_is_there(box):
    contact, id_ = box.pair()
    box.world.faults.add({"kind": "status", "status": 403, "system": "outreach", "method": "GET", "path": "/api/v2/tasks", "times": 9})

    found = matches(box, id_)

    assert found.active.tasks is None and found.active.sequences == 0 and found.candidates[0].id == contact


def test_what_was_read_last_is_shown_while_salesforce_does_not_answer(box):
    contact, id_ = box.pair()
    matches(box, id_)
    box.world.faults.add({"kind": "status", "status": 503, "system": "salesforce", "times": 99})

    found = matches(box, id_)

    assert found.trouble and [c.id for c in found.candidates] == [contact] and found.candidates[0].changed_at is not None


# --- the remap ------------------------------------------------------------------------------------------------------


def test_s2_6_s2_7_a_remap_changes_the_pointer_and_nothing_else(box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Byrne-Smith", "ada@acme.example", Title="Chief", Company="Other")
    box.active(id_, tasks=2, sequences=2)
    before, life, crm = box.peer(id_), box.life(id_), (box.crm("Contact", contact), box.crm("Lead", lead))
    box.calls()

    done = choose(box, olga, id_, "Lead", lead, reason="the newer record")

    assert box.changed(before, id_) == {"externalId"} and box.peer(id_)["externalId"] == lead
    assert box.peer(id_)["externalSource"] == "salesforce"
    assert box.life(id_) == life and (box.crm("Contact", contact), box.crm("Lead", lead)) == crm
    assert box.writes() == {"PATCH /api/v2/prospects/{id}": 1}
    binding = box.binding(id_)
    assert (binding.crm_type, binding.crm_id, binding.how, binding.is_write_back_due) == ("Lead", lead, "remapped", False)
    assert (binding.crm_base["Title"], binding.peer_base["title"]) == ("Chief", "Buyer")
    operation = Operation.objects.get(pk=done.operation_id)
    assert operation.after == {"externalId": lead} and operation.origin["remap"]["from"] == ["Contact", contact]
    assert AuditEntry.objects.get(action="remap").detail["to"] == ["Lead", lead]


def test_s2_8_what_differs_after_a_remap_is_listed_and_no_run_writes_it(box, olga):
    _, id_ = box.pair()
    lead = box.lead("Smith", "ada@acme.example", Title="Chief")

    done = choose(box, olga, id_, "Lead", lead)

    listed = {d.peer_field: (d.crm_value, d.peer_value) for d in Difference.objects.all()}
    assert listed["title"] == ("Chief", "Buyer") and listed["lastName"] == ("Smith", "Byrne") and done.differing == len(listed)
    rest(box)
    assert (box.peer(id_)["title"], box.crm("Lead", lead)["Title"]) == ("Buyer", "Chief")
    box.edit_crm("Lead", lead, Phone="99")  # from now on edits of the chosen record flow
    box.run()
    assert box.peer(id_)["workPhones"] == ["99"] and box.peer(id_)["title"] == "Buyer"


def test_the_record_that_was_left_asks_no_more_when_it_is_edited(box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    box.run()
    assert Case.objects.filter(kind="remap", state="open", crm_id=lead).count() == 1
    choose(box, olga, id_, "Lead", lead)
    case = Case.objects.get(kind="remap")
    assert (case.state, case.get_decision_word(), case.decided_by) == ("resolved", "Remapped", olga)

    box.edit_crm("Contact", contact, Title="Janitor")
    rest(box)

    assert not Case.objects.filter(state="open").exists() and box.peer(id_)["title"] == "Buyer"
    assert len(box.prospects()) == 1 and RememberedPair.objects.get().crm_id == contact
    choose(box, olga, id_, "Contact", contact)  # and the way back is open
    assert box.binding(id_).crm_id == contact


def test_s2_18_moving_a_link_needs_the_tick_and_ends_the_other_ones(box, olga):
    _, id_ = box.pair()
    taken, other = box.pair("Diaz", "cleo@acme.example")
    box.edit_crm("Contact", taken, Email="ada@acme.example")
    plan = remap_plan(matches(box, id_), "Contact", taken)
    assert plan.needs_move and [(w.field, w.value) for w in plan.writes[2:]] == [("externalId", "(blank)"), ("externalSource", "(blank)")]

    with pytest.raises(DecisionRefused, match="Move the link"):
        choose(box, olga, id_, "Contact", taken)
    choose(box, olga, id_, "Contact", taken, move_link=True, stamp=plan.stamp)

    assert box.binding(id_).crm_id == taken and box.peer(id_)["externalId"] == taken
    assert not box.peer(other)["externalId"] and not Binding.objects.filter(peer_id=other, is_tombstone=False).exists()
    ended = Tombstone.objects.get()
    assert (ended.why, ended.crm_id, ended.peer_id) == ("moved", taken, str(other))
    assert "link was moved" in restore_plan(ended, wiring=box.wiring).refusal
    with pytest.raises(DecisionRefused, match="Nothing was done"):
        restore(ended, olga, wiring=box.wiring)
    box.edit_peer(other, title="Somebody")
    rest(box)
    assert len(box.people("Contact")) == 2 and not box.people("Lead")  # nobody is made for the one without a link


def test_s2_5_under_prevent_a_bound_prospect_is_not_remapped_and_an_unbound_one_may_be_linked(box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    free = box.prospect("Evans", "eve@acme.example")
    person = box.contact("Evans-Old", "eve@acme.example")
    Policy.objects.update(same_email="prevent")
    box.calls()

    assert "Remapping is off" in remap_plan(matches(box, id_), "Lead", lead).refusal
    with pytest.raises(DecisionRefused, match="Remapping is off"):
        choose(box, olga, id_, "Lead", lead)
    assert box.writes() == {} and box.binding(id_).crm_id == contact

    done = choose(box, olga, free, "Contact", person)  # D28: a link
    assert done.is_first and box.binding(free).crm_id == person and box.peer(free)["externalId"] == person
    rest(box)
    assert box.crm("Contact", person)["LastName"] == "Evans-Old" and box.peer(free)["lastName"] == "Evans"


def test_s2_5_under_prevent_undo_and_link_are_no_way_to_another_record(box, olga):
    """A first link may be taken back; the prospect can be linked to that record again, and to no other one."""
    free = box.prospect("Evans", "eve@acme.example")
    first, second = (box.contact("Evans", "eve@acme.example") for _ in range(2))
    Policy.objects.update(same_email="prevent")
    for _ in range(2):
        undone = Operation.objects.select_related("connection", "run").get(pk=choose(box, olga, free, "Contact", first).operation_id)
        assert undo(box.sync_pass, [undone], olga, wiring=box.wiring)[0].is_possible
        box.edit_crm("Contact", first, Title="Chief")
        box.run()
        assert box.peer(free)["externalId"] is None  # nor does a pass link by the address what a person parted

        shown = matches(box, free)
        assert "linked to another record before" in remap_plan(shown, "Contact", second).refusal
        assert not remap_plan(shown, "Contact", first).refusal
        assert kept_matches(box.sync_pass, str(free), terms_of(box.sync_pass)).ended == shown.ended
        with pytest.raises(DecisionRefused, match="Remapping is off"):
            choose(box, olga, free, "Contact", second)
    Policy.objects.update(same_email="choose")
    assert choose(box, olga, free, "Contact", second).crm_id == second


def test_s2_5_under_prevent_a_link_that_was_moved_is_not_moved_back(box, olga):
    taken, other = box.pair("Diaz", "cleo@acme.example")
    free = box.prospect("Byrne", "ada@acme.example")
    box.edit_crm("Contact", taken, Email="ada@acme.example")
    done = choose(box, olga, free, "Contact", taken, move_link=True)
    Policy.objects.update(same_email="prevent")

    moved = Operation.objects.select_related("connection", "run").get(pk=done.operation_id)
    (line,) = undo(box.sync_pass, [moved], olga, wiring=box.wiring)

    assert not line.is_possible and "remapping is off" in line.sentence
    assert box.binding(free).crm_id == taken and box.peer(other)["externalId"] is None


def test_a_record_with_another_address_is_no_match(box, olga):
    _, id_ = box.pair()
    stranger = box.lead("Stranger", "x@y.example")

    with pytest.raises(DecisionRefused, match="no match"):
        choose(box, olga, id_, "Lead", stranger)
    with pytest.raises(DecisionRefused, match="not in Outreach"):
        choose(box, olga, 999, "Lead", stranger)


def test_a_plan_that_is_out_of_date_is_refused(box, olga):
    contact, id_ = box.pair()
    lead, second = box.lead("Byrne", "ada@acme.example"), box.lead("Byrne", "ada@acme.example")
    stamp = remap_plan(matches(box, id_), "Lead", lead).stamp
    choose(box, olga, id_, "Lead", second)

    with pytest.raises(DecisionRefused, match="changed while"):
        choose(box, olga, id_, "Lead", lead, stamp=stamp)
    assert box.binding(id_).crm_id == second and contact


@pytest.mark.parametrize("where", ["alone", "many"])
def test_without_the_stamp_of_a_plan_nothing_is_done(box, olga, where):
    contact, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    box.calls()

    if where == "alone":
        with pytest.raises(DecisionRefused, match="changed while"):
            choose(box, olga, id_, "Lead", lead, stamp="")
    else:
        assert remap_many([f"{id_}|Lead|{lead}|"], olga, wiring=box.wiring) == (0, 0, 1)

    assert box.writes() == {} and box.binding(id_).crm_id == contact


def test_no_link_is_taken_over_that_was_made_after_the_plan(box, olga):
    id_, other = box.prospect("Byrne", "ada@acme.example"), box.prospect("Byrne", "ada@home.example")
    contact = box.contact("Byrne", "ada@acme.example")
    found = matches(box, id_)
    now = box.clock.at
    Binding.objects.create(
        sync_pass=box.sync_pass, crm_type="Contact", crm_id=contact, peer_type="prospect", peer_id=str(other), bound_at=now, synced_at=now
    )

    with at_work(box.sync_pass, by="olga", what="", wiring=box.wiring) as context, pytest.raises(NotRelinked, match="by now"):
        carry(context, [Step(found.prospect, None, found.records[f"Contact:{contact}"], context.terms.type_of("Contact"))])

    assert Binding.objects.get().peer_id == str(other) and not box.peer(id_).get("externalId")
    assert Operation.objects.get().state == "void"


def test_what_outreach_refuses_leaves_everything_as_it_was(box, olga):
    contact, id_ = box.pair()
    taken, other = box.pair("Diaz", "cleo@acme.example")
    lead = box.lead("Byrne", "ada@acme.example")
    box.run()
    remap_keep(str(id_), olga)
    box.edit_crm("Contact", taken, Email="ada@acme.example")
    asked = Case.objects.create(
        sync_pass=box.sync_pass, kind="remap", reason="merged", crm_id=taken, peer_id=str(id_), opened_at=box.clock.at
    )
    said = list(RememberedPair.objects.values_list("crm_id", "peer_id", "decided_by", "decided_at"))
    rows = list(Binding.objects.order_by("pk").values())
    fault = {"kind": "status", "status": 422, "system": "outreach", "method": "PATCH", "path": f"/api/v2/prospects/{id_}", "times": 1}
    box.world.faults.add(fault)

    with pytest.raises(DecisionRefused, match="Nothing was changed"):
        choose(box, olga, id_, "Contact", taken, move_link=True)

    asked.refresh_from_db()
    assert (asked.state, asked.decision, asked.closed_at) == ("open", "", None)
    assert list(RememberedPair.objects.values_list("crm_id", "peer_id", "decided_by", "decided_at")) == said and said[0][0] == lead
    assert [e.action for e in AuditEntry.objects.order_by("pk")][-2:] == ["remap", "remap: put back"]
    now = list(Binding.objects.order_by("pk").values())
    changed = {n for a, b in zip(rows, now, strict=True) for n in a if a[n] != b[n]}
    assert changed <= {"is_write_back_due", "owed_since"} and not Tombstone.objects.exists()
    box.run()  # the pointer that was cleared on the way comes back
    assert box.peer(other)["externalId"] == taken and box.peer(id_)["externalId"] == contact


def test_an_ended_link_of_the_record_is_back_when_outreach_refuses(box, olga):
    contact, gone = box.pair()
    box.world.outreach.delete_record("prospects", gone)
    box.edit_crm("Contact", contact, Title="Chief")
    box.run()
    ended = Binding.objects.get(is_tombstone=True)
    id_ = box.prospect("Byrne", "ada@acme.example")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "PATCH", "times": 1})

    with pytest.raises(DecisionRefused, match="Nothing was changed"):
        choose(box, olga, id_, "Contact", contact)

    row = Binding.objects.get()
    assert (row.pk, row.is_tombstone, row.peer_id) == (ended.pk, True, str(gone)) and row.tombstones.count() == 1


def test_a_lost_answer_leaves_a_pointer_that_the_next_run_writes(box, olga):
    _, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    box.world.faults.add({"kind": "drop", "system": "outreach", "method": "PATCH", "path": f"/api/v2/prospects/{id_}", "times": 9})

    with pytest.raises(ConnectionTrouble):
        choose(box, olga, id_, "Lead", lead)
    box.world.faults.clear()
    box.run()
    box.run()

    assert box.peer(id_)["externalId"] == box.binding(id_).crm_id == lead
    assert last_remap(box.binding(id_)).origin["staff"] == "olga"  # it can be taken back
    rest(box)


def test_a_lost_answer_while_a_link_moves_leaves_no_prospect_with_the_pointer_of_the_other(box, olga):
    taken, other = box.pair()
    id_ = box.prospect("Byrne", "home@acme.example")
    box.edit_crm("Contact", taken, Email="home@acme.example")
    box.run()
    assert Case.objects.filter(kind="remap", state="open", peer_id=str(id_)).exists()
    box.world.faults.add({"kind": "drop", "system": "outreach", "method": "PATCH", "path": f"/api/v2/prospects/{other}", "times": 1})

    with pytest.raises(ConnectionTrouble):
        choose(box, olga, id_, "Contact", taken, move_link=True)

    assert AuditEntry.objects.filter(action="link prospect").count() == 1
    assert not Case.objects.filter(kind="remap", state="open").exists()
    fault = {"kind": "status", "status": 422, "system": "outreach", "method": "PATCH", "path": f"/api/v2/prospects/{other}", "times": 1}
    box.world.faults.add(fault)
    box.run()
    case = Case.objects.get(reason="pointer", state="open")
    assert (case.peer_id, case.crm_id) == (str(other), "") and "still names the Contact" in case.sentence
    box.calls()
    box.run()
    assert "PATCH /api/v2/prospects/{id}" not in box.calls()  # it waits for a person
    error_retry([case], olga, wiring=box.wiring)
    box.run()
    assert box.peer(id_)["externalId"] == taken and not box.peer(other)["externalId"] and not box.peer(other)["externalSource"]
    rest(box)
    assert not Binding.objects.filter(is_write_back_due=True).exists()


def test_a_pointer_that_somebody_changed_while_it_was_owed_stays(box, olga):
    taken, other = box.pair()
    id_ = box.prospect("Byrne", "home@acme.example")
    box.edit_crm("Contact", taken, Email="home@acme.example")
    box.world.faults.add({"kind": "drop", "system": "outreach", "method": "PATCH", "path": f"/api/v2/prospects/{other}", "times": 1})
    with pytest.raises(ConnectionTrouble):
        choose(box, olga, id_, "Contact", taken, move_link=True)

    box.edit_peer(other, externalId="another program's", externalSource="x")
    rest(box)

    assert box.peer(other)["externalId"] == "another program's"


def test_a_link_moves_there_and_back_and_there_again(box, olga):
    taken, first = box.pair()
    second = box.prospect("Byrne", "home@acme.example")
    addresses = {first: "ada@acme.example", second: "home@acme.example"}

    for id_, other in ((second, first), (first, second), (second, first)):
        box.edit_crm("Contact", taken, Email=addresses[id_])
        choose(box, olga, id_, "Contact", taken, move_link=True)
        assert box.binding(id_).crm_id == taken and not box.peer(other)["externalId"]

    rest(box)


# --- consent --------------------------------------------------------------------------------------------------------


def test_an_opt_out_goes_to_the_other_side_after_a_choice_and_nothing_else_does(box, olga):
    id_ = box.prospect("Byrne", "ada@acme.example", title="Buyer")
    contact = box.contact("Byrne", "ada@acme.example", Title="Chief", HasOptedOutOfEmail=True)
    lead = box.lead("Byrne", "ada@acme.example", Title="Boss")

    choose(box, olga, id_, "Contact", contact)
    assert not box.peer(id_).get("emailOptedOut")
    box.run()
    assert box.peer(id_)["emailOptedOut"] is True
    choose(box, olga, id_, "Lead", lead)
    box.run()

    assert box.crm("Lead", lead)["HasOptedOutOfEmail"] is True
    assert (box.peer(id_)["title"], box.crm("Contact", contact)["Title"], box.crm("Lead", lead)["Title"]) == ("Buyer", "Chief", "Boss")
    assert Difference.objects.filter(peer_field="title").exists() and not Difference.objects.filter(peer_field="emailOptedOut").exists()
    rest(box)


def test_a_full_comparison_finds_an_opt_out_that_stands_on_one_side_only(box, olga):
    id_ = box.prospect("Byrne", "ada@acme.example")
    contact = box.contact("Byrne", "ada@acme.example", HasOptedOutOfEmail=True)
    choose(box, olga, id_, "Contact", contact)
    LookAgain.objects.all().delete()

    box.run(is_full=True)

    assert box.peer(id_)["emailOptedOut"] is True


# --- keep -----------------------------------------------------------------------------------------------------------


def test_keeping_the_present_id_closes_the_question_for_good(box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    box.run()

    assert remap_keep(str(id_), olga, reason="the contact is right") == 1

    box.edit_crm("Lead", lead, Title="Other")
    rest(box)
    case = Case.objects.get(kind="remap")
    assert (case.get_decision_word(), case.note) == ("Kept on its present CRM ID", "the contact is right")
    assert box.binding(id_).crm_id == contact


def test_a_record_that_a_person_said_no_to_is_linked_by_a_person_only(box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    box.run()
    remap_keep(str(id_), olga)
    box.world.salesforce.delete_record("Contact", contact)
    box.run()

    box.edit_crm("Lead", lead, Title="Other")
    box.run()

    ((outcome, reason, sentence),) = box.events()
    assert (outcome, reason) == ("excluded", "kept_apart") and sentence.startswith("olga decided on 20")
    assert f"prospect {id_} does not belong to Lead {lead}" in sentence and "Find matches" in sentence
    assert not Binding.objects.filter(is_tombstone=False).exists() and len(box.prospects()) == 1
    choose(box, olga, id_, "Lead", lead)
    assert box.binding(id_).crm_id == lead and not RememberedPair.objects.filter(crm_id=lead).exists()


def test_a_prospect_that_was_left_unlinked_stays_so_when_one_record_is_left(box, olga):
    RecordType.objects.update(inbound_create=False)
    contacts = [box.contact("Byrne", "ada@acme.example") for _ in range(2)]
    box.run()
    id_ = box.prospect("Byrne", "ada@acme.example")
    box.run()
    assert remap_keep(str(id_), olga) == 1
    box.world.salesforce.delete_record("Contact", contacts[0])

    box.edit_peer(id_, title="Other")
    box.run()

    assert ("excluded", "kept_apart") in [event[:2] for event in box.events()]
    assert not Binding.objects.exists() and not box.people("Lead") and len(box.prospects()) == 1


# --- nothing left, and answers that are taken back --------------------------------------------------------------------


def test_a_question_without_candidates_is_closed_and_opens_again_when_one_turns_up_again(box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    box.run()
    with pytest.raises(DecisionRefused, match="can be chosen is there"):
        remap_close(str(id_), olga, wiring=box.wiring)
    box.world.salesforce.delete_record("Lead", lead)

    assert remap_close(str(id_), olga, reason="it is gone", wiring=box.wiring) == 1

    case = Case.objects.get(kind="remap")
    assert (case.state, case.get_decision_word(), case.note, case.decided_by) == ("resolved", "No candidate was left", "it is gone", olga)
    assert AuditEntry.objects.get(action="remap: no candidate").detail == {"cases": 1, "reason": "it is gone"}
    assert not RememberedPair.objects.exists()
    rest(box)
    box.bring_back("Lead", lead)
    box.run()
    case.refresh_from_db()
    assert (case.state, case.decision, case.decided_by) == ("open", "", None) and "Opened again" in case.note
    assert box.binding(id_).crm_id == contact and Case.objects.filter(kind="remap").count() == 1


def test_a_question_is_not_closed_while_nobody_can_tell_whether_a_candidate_is_left(box, olga):
    _, id_ = box.pair()
    box.lead("Byrne", "ada@acme.example")
    box.run()
    matches(box, id_)
    box.world.faults.add({"kind": "status", "status": 503, "system": "salesforce", "times": 99})

    with pytest.raises(DecisionRefused, match="cannot be told now"):
        remap_close(str(id_), olga, wiring=box.wiring)

    assert Case.objects.get(kind="remap").is_open


def test_keeping_that_is_taken_back_asks_again_and_is_forgotten(box, olga):
    contact, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    box.run()
    remap_keep(str(id_), olga)
    assert RememberedPair.objects.get().crm_id == lead

    assert remap_ask_again(str(id_), olga) == 1

    case = Case.objects.get(kind="remap")
    assert (case.is_open, case.decision, case.decided) == (True, "", {}) and not RememberedPair.objects.exists()
    assert AuditEntry.objects.get(action="remap: ask again").detail == {"cases": 1, "was": "keep"}
    with pytest.raises(DecisionRefused, match="no answer to take back"):
        remap_ask_again(str(id_), olga)
    box.world.salesforce.delete_record("Contact", contact)
    box.run()
    box.edit_crm("Lead", lead, Title="Other")
    box.run()
    assert box.binding(id_).crm_id == lead  # nothing that was said keeps the two apart any more


def test_an_answer_about_another_link_is_not_taken_back(box, olga):
    _, id_ = box.pair()
    lead = box.lead("Byrne", "ada@acme.example")
    box.run()
    remap_keep(str(id_), olga)
    choose(box, olga, id_, "Lead", lead)

    with pytest.raises(DecisionRefused, match="no answer to take back"):
        remap_ask_again(str(id_), olga)


def test_what_a_remap_remembered_is_forgotten_with_it(box, olga):
    contact, id_ = box.pair()
    lead, other = box.lead("Byrne", "ada@acme.example"), box.lead("Byrne", "ada@acme.example")
    box.run()
    done = choose(box, olga, id_, "Lead", lead)
    assert set(RememberedPair.objects.values_list("crm_id", flat=True)) == {contact, other}

    (line,) = undo(box.sync_pass, [Operation.objects.get(pk=done.operation_id)], olga, wiring=box.wiring)

    assert line.is_possible and box.binding(id_).crm_id == contact
    assert not RememberedPair.objects.exists()
    Case.objects.filter(kind="remap").delete()
    box.edit_crm("Lead", other, Title="Other")
    box.run()
    assert Case.objects.get(kind="remap", state="open").crm_id == other  # its edit asks, as before the remap


def test_what_a_remap_remembered_stays_when_outreach_refuses_to_take_it_back(box, olga):
    contact, id_ = box.pair()
    lead, other = box.lead("Byrne", "ada@acme.example"), box.lead("Byrne", "ada@acme.example")
    box.run()
    done = choose(box, olga, id_, "Lead", lead)
    said = set(RememberedPair.objects.values_list("crm_id", "peer_id", "decided_by", "decided_at"))
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "PATCH", "times": 9})

    (line,) = undo(box.sync_pass, [Operation.objects.get(pk=done.operation_id)], olga, wiring=box.wiring)

    assert not line.is_possible and box.binding(id_).crm_id == lead
    assert set(RememberedPair.objects.values_list("crm_id", "peer_id", "decided_by", "decided_at")) == said
    assert {crm_id for crm_id, *_ in said} == {contact, other}


# --- many -----------------------------------------------------------------------------------------------------------


def test_s2_19_many_prospects_by_one_rule_with_a_preview(box, olga):
    pairs = [box.pair(f"P{n}", f"p{n}@acme.example") for n in range(3)]
    leads = [box.lead(f"P{n}", f"p{n}@acme.example") for n in range(3)]
    box.run()
    asked = asked_prospects(box.sync_pass)
    assert asked == [str(id_) for _, id_ in pairs]

    kept = bulk_plans(box.sync_pass, asked, "contact", wiring=box.wiring)
    assert all(plan.candidate is None for _, plan in kept)
    box.edit_crm("Contact", pairs[2][0], Description="touched last")
    plans = bulk_plans(box.sync_pass, asked, "latest", wiring=box.wiring)
    assert [plan.candidate.id if plan.candidate else None for _, plan in plans] == [leads[0], leads[1], None]
    box.calls()
    result = remap_many([plan.key for _, plan in plans], olga, wiring=box.wiring)

    assert result == (2, 1, 0)
    calls = box.calls()
    assert calls["PATCH /api/v2/prospects/{id}"] == 2 and calls["GET /api/v2/tasks"] == 1
    assert [box.binding(id_).crm_id for _, id_ in pairs] == [leads[0], leads[1], pairs[2][0]]
    assert not Case.objects.filter(kind="remap", state="open").exists()
    rest(box)


def last_lines():
    run = Run.objects.order_by("pk").last()
    assert run.seen == RunEvent.objects.filter(run=run).count()
    return run, {e.peer_ref.rpartition(":")[2] or e.crm_ref: (e.outcome, e.reason) for e in RunEvent.objects.filter(run=run)}


def test_prospects_that_want_the_same_record_do_not_take_it_from_each_other(box, olga):
    winner = box.contact("Zed")
    merged = [box.linked("Byrne", f"ada{n}@acme.example") for n in range(2)]
    box.world.salesforce.merge({"object": "Contact", "winner": winner, "losers": [contact for contact, _ in merged]})
    free = box.contact("Free")
    pointing = {"externalId": free, "externalSource": "salesforce"}
    ids = [str(id_) for _, id_ in merged] + [str(box.prospect("Pe", f"p{n}@acme.example", **pointing)) for n in range(2)]
    plans = bulk_plans(box.sync_pass, ids, "latest", wiring=box.wiring)
    assert [plan.candidate.id for _, plan in plans] == [winner, winner, free, free]

    assert remap_many([plan.key for _, plan in plans], olga, wiring=box.wiring) == (2, 0, 2)

    assert [box.binding(ids[0]).crm_id, box.binding(ids[1]).crm_id, box.binding(ids[2]).crm_id] == [winner, merged[1][0], free]
    assert not Binding.objects.filter(peer_id=ids[3]).exists()
    run, lines = last_lines()
    assert run.state == "finished"
    assert lines == dict(zip(ids, [("updated", "remapped"), ("excluded", "changed_meanwhile")] * 2, strict=True))
    assert f"linked to prospect {ids[0]}" in RunEvent.objects.get(run=run, peer_ref__endswith=f":{ids[1]}").sentence


@pytest.mark.parametrize(("silent", "done"), [((1,), (3, 0, 1)), ((1, 2), None)])
def test_one_prospect_without_an_answer_stops_no_other_and_two_in_a_row_do(box, olga, silent, done):
    ids = [str(box.pair(f"P{n}", f"p{n}@acme.example")[1]) for n in range(4)]
    leads = [box.lead(f"P{n}", f"p{n}@acme.example") for n in range(4)]
    plans = bulk_plans(box.sync_pass, ids, "latest", wiring=box.wiring)
    for n in silent:
        box.world.faults.add({"kind": "drop", "system": "outreach", "method": "PATCH", "path": f"/api/v2/prospects/{ids[n]}", "times": 9})

    keys = [plan.key for _, plan in plans]
    if done is not None:
        assert remap_many(keys, olga, wiring=box.wiring) == done
    else:
        with pytest.raises(ConnectionTrouble):
            remap_many(keys, olga, wiring=box.wiring)

    _, lines = last_lines()
    third = ("held", "unanswered") if done is None else ("updated", "remapped")
    last = ("held", "interrupted") if done is None else ("updated", "remapped")
    assert [lines[id_] for id_ in ids] == [("updated", "remapped"), ("held", "unanswered"), third, last]
    box.world.faults.clear()
    box.run()
    assert [box.peer(id_)["externalId"] for id_ in ids[:3]] == leads[:3]
