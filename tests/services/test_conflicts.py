"""What people decide about fields that both sides changed (S3.8, S3.12, D10, C12, C14)."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from connectors.errors import ConnectionTrouble
from reconciliation import jobs
from reconciliation.engine import staff
from reconciliation.models import AuditEntry, Binding, Case, ConflictField, FieldRule, Operation, Run, RunEvent
from reconciliation.services.conflict_desk import Choice, seen_of
from reconciliation.services.conflict_refresh import conflicts_refresh
from reconciliation.services.conflict_restore import loser_plan, loser_restore
from reconciliation.services.conflicts import bulk_rows, conflict_decide, conflict_later, conflicts_settle
from reconciliation.services.duplicates import DecisionRefused
from tests.conflicting import conflicting

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    return conflicting()


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def tom():
    return User.objects.create(username="tom")


@pytest.fixture
def admin():
    call_command("migrate", verbosity=0)
    user = User.objects.create(username="ada")
    user.groups.add(Group.objects.get(name="admin"))
    return user


@pytest.fixture
def ada(box):
    return box.pair("Lovelace")


def decide(box, case, by, choices, **more):
    return conflict_decide(case, {n: c if isinstance(c, Choice) else Choice(c) for n, c in choices.items()}, by, wiring=box.wiring, **more)


def writes():
    """Returns what people's decisions wrote."""
    return Operation.objects.filter(run__kind="staff")


def seen(case, name):
    return seen_of(case.fields.get(peer_field=name))


@pytest.mark.parametrize(("take", "holds", "written"), [("crm", "CTO", "peer"), ("peer", "CEO", "crm")])
def test_s3_8_one_sides_value_is_taken_and_the_other_side_alone_is_written_to(box, ada, olga, take, holds, written):
    case = box.conflict(ada, title=("CTO", "CEO"))
    box.calls()

    done = decide(box, case, olga, {"title": take}, reason="the newer card")

    assert done.settled == ("title",) and done.is_closed and not done.refusals
    assert (box.ours(ada)["Title"], box.theirs(ada)["title"]) == (holds, holds)
    operation = writes().get()
    assert (operation.connection.system, operation.state) == ("outreach" if written == "peer" else "salesforce", "confirmed")
    assert list(operation.after) == ["title" if written == "peer" else "Title"]  # nothing else
    ada.refresh_from_db()
    assert (ada.crm_base["Title"], ada.peer_base["title"]) == (holds, holds)
    assert (ada.crm_base["LastName"], ada.peer_base["workPhones"]) == ("Lovelace", ["1"])  # the others' bases stand
    case.refresh_from_db()
    row = case.fields.get()
    assert (case.state, case.get_decision_word(), case.decided_by, case.note) == (
        "resolved",
        "The CRM's value was taken" if take == "crm" else "Outreach's value was taken",
        olga,
        "the newer card",
    )
    assert (row.state, row.decided_value, row.decided_by, row.decided_at is not None) == (take, holds, "olga", True)
    box.run()
    assert not Case.objects.filter(state="open").exists() and box.theirs(ada)["title"] == box.ours(ada)["Title"] == holds
    box.calls()
    box.run()
    assert box.written() == 0  # S3.13
    entry = AuditEntry.objects.get(action="conflict: decide")
    assert entry.detail["fields"] == {"title": take} and "CTO" not in str(entry.detail)


def test_s3_8_a_third_value_goes_to_both_sides_by_the_fields_conversion(box, ada, olga):
    case = box.conflict(ada, workPhones=("+44 2", ["3", "7"]))

    done = decide(box, case, olga, {"workPhones": Choice("typed", "+44 5")})

    assert done.is_closed
    assert (box.ours(ada)["Phone"], box.theirs(ada)["workPhones"]) == ("+44 5", ["+44 5", "7"])
    assert ConflictField.objects.get().state == "typed" and writes().count() == 2


def test_s3_8_all_fields_of_a_record_in_one_write_a_side(box, ada, olga):
    case = box.conflict(ada, title=("CTO", "CEO"), custom1=("ours", "theirs"), workPhones=("2", ["3"]))
    box.calls()

    done = decide(box, case, olga, {"title": "crm", "custom1": "peer", "workPhones": "crm"})

    assert len(done.settled) == 3 and box.written() == 2
    assert (box.theirs(ada)["title"], box.ours(ada)["Description"], box.theirs(ada)["workPhones"]) == ("CTO", "theirs", ["2"])
    assert Case.objects.get().get_decision_word() == "Decided field by field"


def test_a_field_without_a_choice_stays_open_and_so_does_the_case(box, ada, olga):
    case = box.conflict(ada, title=("CTO", "CEO"), custom1=("ours", "theirs"))

    done = decide(box, case, olga, {"title": "crm"})

    assert not done.is_closed and Case.objects.get().is_open
    assert dict(ConflictField.objects.values_list("peer_field", "state")) == {"title": "crm", "custom1": "open"}
    assert box.theirs(ada)["custom1"] == "theirs"

    assert decide(box, Case.objects.get(), olga, {"custom1": "peer"}).is_closed
    assert set(Case.objects.get().decided["operations"]) == {"title", "custom1"}


def test_a_field_that_changed_since_the_page_was_opened_is_refused_with_both_values(box, ada, olga):
    case = box.conflict(ada, title=("CTO", "CEO"), custom1=("ours", "theirs"))
    choices = {name: Choice("crm", seen=seen(case, name)) for name in ("title", "custom1")}
    box.edit(ada, peer={"title": "CFO"})

    done = decide(box, case, olga, choices)

    assert done.settled == ("custom1",)
    (refusal,) = done.refusals
    assert refusal.startswith("title: It changed since this page was opened") and "“CTO”" in refusal and "“CFO”" in refusal
    assert (box.ours(ada)["Title"], box.theirs(ada)["title"]) == ("CTO", "CFO")
    assert case.fields.get(peer_field="title").peer_value == "CFO"  # the page shows it now

    with pytest.raises(DecisionRefused, match="changed since"):
        decide(box, case, olga, {"title": Choice("crm", seen=choices["title"].seen)})
    assert decide(box, case, olga, {"title": Choice("crm", seen=seen(case, "title"))}).is_closed
    assert box.theirs(ada)["title"] == "CTO"


def test_sides_that_agree_by_now_are_settled_without_a_write(box, ada, olga):
    case = box.conflict(ada, title=("CTO", "CEO"))
    choice = Choice("peer", seen=seen(case, "title"))
    box.edit(ada, crm={"Title": "CEO"})
    box.calls()

    assert decide(box, case, olga, {"title": choice}).is_closed
    assert box.written() == 0 and ConflictField.objects.get().state == "agreed"
    ada.refresh_from_db()
    assert (ada.crm_base["Title"], ada.peer_base["title"]) == ("CEO", "CEO")


@pytest.fixture
def meanwhile(monkeypatch):
    """Takes what a colleague does while the next decision waits for the lease: it has looked once, and will look again."""
    wait, acts = staff._wait_for_lease, []

    def colleague_first(sync_pass, wiring):
        while acts:
            acts.pop()()
        return wait(sync_pass, wiring)

    monkeypatch.setattr(staff, "_wait_for_lease", colleague_first)
    return acts.append


def test_the_second_of_two_colleagues_is_refused_and_writes_nothing(box, ada, olga, tom, meanwhile):
    case = box.conflict(ada, title=("CTO", "CEO"))
    box.calls()
    meanwhile(lambda: decide(box, case, tom, {"title": "peer"}))

    with pytest.raises(DecisionRefused, match="already closed by tom"):
        decide(box, case, olga, {"title": "crm"})

    assert box.written() == 1 and box.ours(ada)["Title"] == "CEO"


def test_two_colleagues_who_decide_different_fields_both_count(box, ada, olga, tom, meanwhile):
    case = box.conflict(ada, title=("CTO", "CEO"), custom1=("ours", "theirs"))
    meanwhile(lambda: decide(box, case, tom, {"title": "peer"}))

    assert decide(box, case, olga, {"title": "crm", "custom1": "crm"}).settled == ("custom1",)
    assert (box.ours(ada)["Title"], box.theirs(ada)["custom1"]) == ("CEO", "ours")
    assert dict(ConflictField.objects.values_list("peer_field", "decided_by")) == {"title": "tom", "custom1": "olga"}


def test_an_edit_of_another_field_between_our_read_and_our_write_is_read_again(box, ada, olga, monkeypatch):
    from reconciliation.engine.executor import Executor

    case = box.conflict(ada, title=("CTO", "CEO"))
    claim, edits = Executor._claim, [1]

    def edited_just_before(self, wave):
        if edits:
            edits.pop()
            box.edit(ada, crm={"Description": "typed just now"}, after=2)
        return claim(self, wave)

    monkeypatch.setattr(Executor, "_claim", edited_just_before)

    assert decide(box, case, olga, {"title": "peer"}).is_closed
    assert (box.ours(ada)["Title"], box.ours(ada)["Description"]) == ("CEO", "typed just now")
    assert sorted(writes().values_list("state", flat=True)) == ["confirmed", "rejected"]


def test_an_edit_of_the_field_itself_between_our_read_and_our_write_is_not_overwritten(box, ada, olga, monkeypatch):
    from reconciliation.engine.executor import Executor

    case = box.conflict(ada, title=("CTO", "CEO"))
    claim, edits = Executor._claim, [1]

    def edited_just_before(self, wave):
        if edits:
            edits.pop()
            box.edit(ada, crm={"Title": "Chair"}, after=2)
        return claim(self, wave)

    monkeypatch.setattr(Executor, "_claim", edited_just_before)

    with pytest.raises(DecisionRefused, match="“Chair”"):
        decide(box, case, olga, {"title": Choice("peer", seen=seen(case, "title"))})
    assert box.ours(ada)["Title"] == "Chair" and Case.objects.get().is_open


def test_an_edit_between_our_write_and_its_read_back_is_found_by_the_next_run(box, ada, olga, monkeypatch):
    case = box.conflict(ada, title=("CTO", "CEO"))
    box.edit_after_write(monkeypatch, "Contact", ada.crm_id, Title="Typed just now")

    assert decide(box, case, olga, {"title": "peer"}).is_closed
    box.run()

    assert (box.ours(ada)["Title"], box.theirs(ada)["title"]) == ("Typed just now", "Typed just now")


def test_what_salesforce_refuses_leaves_the_field_open_and_outreach_as_it_was(box, ada, olga):
    case = box.conflict(ada, title=("CTO", "CEO"), workPhones=("2", ["3"]))

    with pytest.raises(DecisionRefused, match="128"):
        decide(box, case, olga, {"title": Choice("typed", "x" * 200)})

    assert box.theirs(ada)["title"] == "CEO" and Case.objects.get().is_open
    assert decide(box, case, olga, {"workPhones": "crm"}).settled == ("workPhones",)


@pytest.mark.parametrize("system", ["salesforce", "outreach"])
def test_a_lost_answer_leaves_the_case_open_and_the_next_look_closes_it(box, ada, olga, system):
    case = box.conflict(ada, title=("CTO", "CEO"))
    method = "POST" if system == "salesforce" else "PATCH"
    box.world.faults.add({"kind": "lost_answer", "system": system, "method": method, "times": 1})

    with pytest.raises(ConnectionTrouble):
        decide(box, case, olga, {"title": "peer" if system == "salesforce" else "crm"})

    held = "CEO" if system == "salesforce" else "CTO"
    assert (box.ours(ada)["Title"], box.theirs(ada)["title"]) == (held, held)  # it happened
    assert Case.objects.get().is_open and writes().get().state == "sent"
    box.clock.forward(60)

    found = conflicts_refresh(box.sync_pass, "olga", wiring=box.wiring)

    assert (found.looked_at, found.agreed, found.closed) == (1, 1, 1)
    assert writes().get().state == "confirmed" and not Case.objects.get().is_open
    ada.refresh_from_db()
    assert (ada.crm_base["Title"], ada.peer_base["title"]) == (held, held)


def test_an_answer_lost_between_the_two_sides_of_a_third_value_is_decided_once_more(box, ada, olga):
    case = box.conflict(ada, title=("CTO", "CEO"))
    box.world.faults.add({"kind": "status", "status": 503, "system": "outreach", "method": "PATCH", "times": 99})

    with pytest.raises(ConnectionTrouble):
        decide(box, case, olga, {"title": Choice("typed", "Chair")})

    assert (box.ours(ada)["Title"], box.theirs(ada)["title"]) == ("Chair", "CEO") and Case.objects.get().is_open
    box.world.faults.clear()
    box.clock.forward(3600)

    assert decide(box, Case.objects.get(), olga, {"title": Choice("typed", "Chair")}).is_closed
    assert box.theirs(ada)["title"] == "Chair"


def test_a_consent_is_never_chosen_between(box, ada, olga):
    case = box.conflict(ada, title=("CTO", "CEO"))
    box.edit(ada, peer={"emailOptedOut": True})
    values = {"crm_field": "HasOptedOutOfEmail", "peer_field": "emailOptedOut", "crm_value": False, "peer_value": True}
    ConflictField.objects.create(case=case, **values)

    with pytest.raises(DecisionRefused, match="consent"):
        decide(box, case, olga, {"emailOptedOut": "crm"})

    assert box.theirs(ada)["emailOptedOut"] is True


@pytest.mark.parametrize("how", ["tombstone", "other record", "deleted"])
def test_records_that_are_not_linked_any_more_are_not_written_to(box, ada, olga, how):
    case = box.conflict(ada, title=("CTO", "CEO"))
    if how == "tombstone":
        Binding.objects.update(is_tombstone=True)
    elif how == "other record":
        other = box.pair("Byron")
        Binding.objects.filter(pk=other.pk).delete()
        Binding.objects.filter(pk=ada.pk).update(peer_id=other.peer_id)
    else:
        box.world.salesforce.delete_record("Contact", ada.crm_id)
    box.calls()

    with pytest.raises(DecisionRefused, match="not linked any more|was deleted"):
        decide(box, case, olga, {"title": "crm"})
    assert box.written() == 0
    if how == "deleted":
        assert conflicts_refresh(box.sync_pass, wiring=box.wiring).closed == 0  # it may only be hidden
        box.run()
        box.run()
    assert conflicts_refresh(box.sync_pass, wiring=box.wiring).closed == 1
    assert (Case.objects.get().state, Case.objects.get().get_decision_word()) == ("closed", "No longer linked")


def test_a_field_that_is_mapped_no_more_closes_with_the_next_look(box, ada, olga):
    case = box.conflict(ada, title=("CTO", "CEO"))
    FieldRule.objects.filter(peer_field="title").update(is_enabled=False)

    with pytest.raises(DecisionRefused, match="not mapped any more"):
        decide(box, case, olga, {"title": "crm"})
    assert conflicts_refresh(box.sync_pass, wiring=box.wiring).closed == 1


def test_a_case_follows_a_record_that_was_converted_to_the_one_that_stands_for_it(box, olga):
    lead, id_ = box.lead("Byron", "byron@acme.example", Title="Buyer"), None
    box.run()
    binding = Binding.objects.get(crm_id=lead)
    box.run()
    case = box.conflict(binding, title=("Peer", "Poet"))
    id_ = box.contact("Byron", "other@acme.example", Title="Peer")
    Binding.objects.filter(pk=binding.pk).update(crm_type="Contact", crm_id=id_)

    assert decide(box, case, olga, {"title": "peer"}).is_closed

    case.refresh_from_db()
    assert (case.crm_type, case.crm_id, box.crm("Contact", id_)["Title"]) == ("Contact", id_, "Poet")
    assert box.crm("Lead", lead)["Title"] == "Peer"


def test_what_was_agreed_on_otherwise_is_no_conflict_any_more(box, ada, olga):
    case = box.conflict(ada, title=("CTO", "CEO"))
    other = box.contact("Byron", "byron@acme.example", Title="Peer")
    bases = {"crm_base": {**ada.crm_base, "Title": "Peer"}, "peer_base": {**ada.peer_base, "title": "CEO"}}
    Binding.objects.filter(pk=ada.pk).update(crm_id=other, **bases)  # remapped: each side's value is its own base

    with pytest.raises(DecisionRefused, match="agreed on otherwise"):
        decide(box, case, olga, {"title": "peer"})
    assert conflicts_refresh(box.sync_pass, wiring=box.wiring).closed == 1 and box.crm("Contact", other)["Title"] == "Peer"


def test_d10_a_lead_has_a_table_of_its_own_and_its_rule_stays_there(box, admin):
    lead = box.lead("Byron", "byron@acme.example", Title="Buyer")
    box.run()
    binding = Binding.objects.get(crm_id=lead)
    box.run()

    decide(box, box.conflict(binding, title=("Peer", "Poet")), admin, {"title": "crm"}, remember=True)

    rules = FieldRule.objects.filter(peer_field="title").values_list("table__crm_object", "survivorship", "table__version")
    assert sorted(rules) == [("Contact", "ask", 1), ("Lead", "crm", 2)] and box.theirs(binding)["title"] == "Peer"


def test_a_look_at_open_conflicts_shows_what_both_sides_hold_by_now_and_writes_nothing(box, ada):
    case = box.conflict(ada, title=("CTO", "CEO"), custom1=("ours", "theirs"))
    box.edit(ada, peer={"title": "CFO"})
    box.edit(ada, crm={"Description": "theirs"})
    box.calls()

    found = conflicts_refresh(box.sync_pass, wiring=box.wiring)

    assert (found.looked_at, found.agreed, found.changed, found.closed) == (1, 1, 1, 0) and box.written() == 0
    assert case.fields.get(peer_field="title").peer_value == "CFO" and Case.objects.get().is_open


def test_the_hourly_look_is_a_job_of_every_two_way_pass_that_is_on(box, ada, monkeypatch):
    box.conflict(ada, title=("CTO", "CEO"))
    box.edit(ada, crm={"Title": "CEO"})
    look = jobs.conflicts_refresh
    monkeypatch.setattr(jobs, "conflicts_refresh", lambda sync_pass, by: look(sync_pass, by, wiring=box.wiring))

    assert jobs.refresh_conflicts() == "prospects: 1 looked at, 1 closed"


def test_d10_many_conflicts_of_one_field_are_settled_at_once(box, olga):
    people = [box.pair(name) for name in ("Ada", "Byron", "Cayley")]
    cases = [box.conflict(b, title=(f"CRM {n}", f"peer {n}"), custom1=("a", "b")) for n, b in enumerate(people)]
    rows = bulk_rows(box.sync_pass, "title", "crm")
    assert [(w.system, w.value) for row in rows for w in row.offer.writes] == [("Outreach", f"CRM {n}") for n in range(3)]
    box.edit(people[1], crm={"Title": "typed since"})

    assert conflicts_settle([row.key for row in rows], "crm", olga, reason="house rule", wiring=box.wiring) == (2, 1)

    assert [box.theirs(b)["title"] for b in people] == ["CRM 0", "peer 1", "CRM 2"]
    assert [c.fields.get(peer_field="custom1").state for c in cases] == ["open"] * 3
    run = Run.objects.get(kind="staff")
    assert (run.state, run.updated, run.excluded) == ("finished", 2, {"changed_meanwhile": 1})
    assert "changed since" in RunEvent.objects.get(run=run, outcome="excluded").sentence
    assert AuditEntry.objects.get(action="conflict: decide many").detail["settled"] == 2


def test_d10_a_choice_is_remembered_as_the_rule_in_a_new_version_by_an_admin_only(box, ada, olga, admin):
    case = box.conflict(ada, title=("CTO", "CEO"))

    with pytest.raises(DecisionRefused, match="Only an admin"):
        decide(box, case, olga, {"title": "crm"}, remember=True)
    with pytest.raises(DecisionRefused, match="typed"):
        decide(box, case, admin, {"title": Choice("typed", "x")}, remember=True)
    assert Case.objects.get().is_open and box.theirs(ada)["title"] == "CEO"

    done = decide(box, case, admin, {"title": "crm"}, remember=True)

    rule = FieldRule.objects.get(peer_field="title", table=box.sync_pass.mapping)
    assert (rule.survivorship, rule.direction, rule.table.version, rule.since_version) == ("crm", "both", 2, 2)
    assert "Salesforce wins" in done.remarks[0] and "version 2" in done.remarks[0]
    assert "survivorship ask → crm" in str(AuditEntry.objects.get(action="change mapping").detail["changed"])


def test_d10_a_rule_settles_the_conflicts_that_wait_in_the_next_run_and_keeps_what_lost(box, ada, admin):
    others = [box.pair(name) for name in ("Byron", "Cayley")]
    for n, other in enumerate(others):
        box.conflict(other, title=(f"ours {n}", f"theirs {n}"))
    case = box.conflict(ada, title=("CTO", "CEO"))
    box.run()
    assert Case.objects.filter(state="open").count() == 3

    decide(box, case, admin, {"title": "peer"}, remember=True)
    box.run()

    assert not Case.objects.filter(state="open").exists()
    assert [box.ours(b)["Title"] for b in others] == ["theirs 0", "theirs 1"]
    lost = [op.origin["losers"] for op in Operation.objects.filter(run__kind="manual").order_by("-pk")[:2]]
    assert lost == [{"Title": "ours 1"}, {"Title": "ours 0"}]
    operation = Operation.objects.filter(run__kind="manual").latest("pk")
    loser_restore(operation, "Title", admin, wiring=box.wiring)  # what a rule beat comes back the same way
    assert box.ours(others[1])["Title"] == box.theirs(others[1])["title"] == "ours 1"
    box.run()
    assert box.theirs(others[1])["title"] == "ours 1"


def test_later_keeps_the_case_open_with_a_note_for_a_colleague(box, ada, olga, tom):
    case = box.conflict(ada, title=("CTO", "CEO"))

    conflict_later(case, olga, "ask Ann", tom)

    case.refresh_from_db()
    assert (case.state, case.note, case.assigned_to) == ("open", "ask Ann", tom)


# --- S3.12: what lost is not lost ------------------------------------------------------------------------------------
@pytest.mark.parametrize(("take", "lost"), [("crm", "CEO"), ("peer", "CTO")])
def test_s3_12_the_value_that_gave_way_is_kept_and_put_back_into_both_systems(box, ada, olga, take, lost):
    decide(box, box.conflict(ada, title=("CTO", "CEO")), olga, {"title": take})
    operation = writes().get()
    field = "title" if take == "crm" else "Title"
    assert operation.origin["losers"] == {field: lost}
    box.clock.forward(60)

    plan = loser_plan(operation, field, wiring=box.wiring)
    assert (plan.lost, plan.refusal) == (lost, "") and {w.value for w in plan.writes} == {lost} and len(plan.writes) == 2
    loser_restore(operation, field, olga, reason="it was right", wiring=box.wiring)

    assert (box.ours(ada)["Title"], box.theirs(ada)["title"]) == (lost, lost)
    ada.refresh_from_db()
    assert (ada.crm_base["Title"], ada.peer_base["title"]) == (lost, lost)
    assert AuditEntry.objects.filter(action="conflict: put back").count() == 1
    assert "again already" in loser_plan(operation, field, wiring=box.wiring).refusal


def test_s3_12_a_list_comes_back_as_it_was(box, ada, olga):
    decide(box, box.conflict(ada, workPhones=("2", ["3", "7"])), olga, {"workPhones": "crm"})
    operation = writes().get()
    assert box.theirs(ada)["workPhones"] == ["2", "7"]

    loser_restore(operation, "workPhones", olga, wiring=box.wiring)

    assert (box.ours(ada)["Phone"], box.theirs(ada)["workPhones"]) == ("3", ["3", "7"])


@pytest.mark.parametrize("side", ["crm", "peer"])
def test_s3_12_what_was_changed_since_is_kept_and_said(box, ada, olga, side):
    decide(box, box.conflict(ada, title=("CTO", "CEO")), olga, {"title": "crm"})
    box.edit(ada, **({"crm": {"Title": "Chair"}} if side == "crm" else {"peer": {"title": "Chair"}}))
    box.calls()

    with pytest.raises(DecisionRefused, match="changed in (Salesforce|Outreach) since.*last edited by"):
        loser_restore(writes().get(), "title", olga, wiring=box.wiring)

    assert box.written() == 0


def test_s3_12_what_cannot_be_put_back_says_why(box, ada, olga):
    decide(box, box.conflict(ada, title=("CTO", "CEO")), olga, {"title": "crm"})
    operation = writes().get()

    assert "No value" in loser_plan(operation, "lastName", wiring=box.wiring).refusal
    Binding.objects.update(is_tombstone=True)
    assert "not linked" in loser_plan(operation, "title", wiring=box.wiring).refusal
    Binding.objects.update(is_tombstone=False)
    FieldRule.objects.filter(peer_field="title").update(is_enabled=False)
    assert "not mapped" in loser_plan(operation, "title", wiring=box.wiring).refusal
