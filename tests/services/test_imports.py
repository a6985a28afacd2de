"""Imports of leads and contacts as prospects, against the played systems: seed 002, from the choice to the last retry."""

import pytest
from django.contrib.auth.models import User
from django_q.models import Schedule

from connectors.errors import ConnectorError
from reconciliation import jobs
from reconciliation.engine import importing
from reconciliation.engine import lease as leases
from reconciliation.engine.importing import carry
from reconciliation.models import AuditEntry, Binding, Case, Import, ImportRow, Policy, RecordType, Run, SyncPass
from reconciliation.services.import_choice import ImportRefused, choice_of
from reconciliation.services.imports import (
    PassAtWork,
    choice_of_view,
    import_counts,
    import_go_on,
    import_one,
    import_preview,
    import_retry,
    import_search,
    import_start,
    import_views,
)
from reconciliation.services.remap_questions import asked_prospects, remap_keep
from tests.importing import make_importing
from tests.remapping import choose_now

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
SAME_EMAIL = "A prospect with this email address already exists in Outreach"


@pytest.fixture
def box(monkeypatch):
    box = make_importing()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


@pytest.fixture
def ada():
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def asked(monkeypatch):
    """Collects the tasks that would go to the queue."""
    tasks = []
    monkeypatch.setattr(jobs, "async_task", lambda name, *arguments, **options: tasks.append((name.rsplit(".", 1)[-1], arguments)))
    return tasks


def rows_of(batch):
    return {row.given: row for row in batch.rows.all()}


def carried(box, names, user, **options):
    batch = box.start(names, user, **options)
    assert carry(batch, wiring=box.wiring)
    batch.refresh_from_db()
    return batch


# --- choosing -----------------------------------------------------------------------------------------------------------


def test_leads_and_contacts_are_found_by_address_and_by_the_beginning_of_a_name(box):
    ada = box.contact("Lovelace", "ada@example.com", FirstName="Ada")
    lead = box.lead("Loveday", "day@example.com")
    box.contact("Love\"'\\;%_", "odd@example.com")
    box.lead("Babbage", "charles@example.com")

    def names(text):
        return [(it.object_type, it.name) for it in import_search(box.sync_pass, text, wiring=box.wiring)]

    assert names("ADA@example.com") == [("Contact", "Ada Lovelace")]
    assert names("lovela") == [("Contact", "Ada Lovelace")] and names("Ada Lov") == [("Contact", "Ada Lovelace")]
    assert names("Love") == [("Contact", "Ada Lovelace"), ("Contact", "Love\"'\\;%_"), ("Lead", "Loveday")]
    assert names("Love\"'\\;%_") == [("Contact", "Love\"'\\;%_")] and names("nobody") == []
    found = {it.id: it for it in import_search(box.sync_pass, "Love", wiring=box.wiring)}
    assert found[ada].url.endswith(f"/Contact/{ada}") and found[lead].company == "Acme"
    with pytest.raises(ImportRefused, match="at least 2 letters"):
        import_search(box.sync_pass, " L ", wiring=box.wiring)


def test_a_converted_lead_is_not_offered(box):
    lead = box.lead("Gone", "gone@example.com")
    box.world.salesforce.convert({"lead": lead})

    found = import_search(box.sync_pass, "Gone", wiring=box.wiring)

    assert [it.object_type for it in found] == ["Contact"]


def all_contacts(box):
    views = import_views(box.sync_pass, wiring=box.wiring)
    return next(v.key for v in views if (v.object_type, v.title) == ("Contact", "All Contacts"))


def test_a_list_view_gives_the_records_that_are_in_it_now(box):
    made = [box.contact(f"C{n}", f"c{n}@example.com") for n in range(7)]
    box.lead("Lead", "lead@example.com")

    views = import_views(box.sync_pass, wiring=box.wiring)
    title, choice = choice_of_view(box.sync_pass, all_contacts(box), wiring=box.wiring)

    assert {v.object_type for v in views} == {"Contact", "Lead"}
    assert title == "All Contacts (Contacts)" and sorted(r.given for r in choice.rows) == sorted(made)
    for key in ("Contact:00BAA0000000009YAA", "Account:x", "", "Contact:' OR 1=1"):
        with pytest.raises(ImportRefused):
            choice_of_view(box.sync_pass, key, wiring=box.wiring)


def test_a_list_view_of_too_many_is_refused_without_being_read_to_its_end(box, monkeypatch):
    monkeypatch.setattr("reconciliation.services.imports.MOST_ROWS", 6)
    for n in range(17):  # pages of five
        box.contact(f"C{n}", f"c{n}@example.com")
    box.calls()

    with pytest.raises(ImportRefused, match="“All Contacts” holds more than 6 Contacts"):
        choice_of_view(box.sync_pass, all_contacts(box), wiring=box.wiring)

    assert sum(n for call, n in box.calls().items() if "/query" in call) == 2


def test_the_preview_counts_what_is_linked_twice_and_not_synced(box, ada):
    contact, other, lead = box.contact("A", "a@example.com"), box.contact("B", "b@example.com"), box.lead("L", "l@example.com")
    carried(box, [contact], ada)
    RecordType.objects.filter(crm_object="Lead").update(is_on=False)

    preview = import_preview(box.sync_pass, choice_of([contact, other, other[:15], lead, "x@example.com", "nobody"]))

    assert (preview.rows, preview.twice, preview.linked, preview.off, preview.addresses) == (5, 1, 1, {"Lead": 1}, 1)
    assert preview.to_do == 2 and len(preview.choice.bad) == 1


# --- the work -----------------------------------------------------------------------------------------------------------


def test_d28_an_unbound_prospect_is_linked_and_a_new_one_is_made(box, ada):
    new, known = box.contact("New", "new@example.com"), box.lead("Known", "Known@example.com")
    prospect = box.alone("known@example.com")

    batch = carried(box, [new, known, "nobody@example.com"], ada)

    rows = rows_of(batch)
    assert [rows[new].state, rows[known].state, rows["nobody@example.com"].state] == ["created", "linked", "failed"]
    assert rows[known].peer_id == prospect and rows[new].peer_id and rows["nobody@example.com"].reason == "not_found"
    assert (rows[new].name, rows[new].email) == ("New", "new@example.com")
    assert batch.state == "finished" and batch.done == batch.total == 3 and batch.ended_at
    assert len(box.prospects()) == 2
    run = rows[new].run
    assert run.kind == "staff" and run.started_by == "ada" and run.state == "finished" and f"Import {batch.pk}" in run.note


def test_d28_with_option_1_an_address_of_a_bound_prospect_is_kept_where_it_is_and_nothing_is_to_decide(box, ada):
    first, second = box.contact("One", "same@example.com"), box.lead("Two", "same@example.com")
    carried(box, [first], ada)

    batch = carried(box, [second], ada, choose=False)

    row = batch.rows.get()
    assert (row.state, row.reason, row.sentence) == ("present", "same_email", f"Already in Outreach, kept on {first}.")
    counts = import_counts(batch)
    assert (counts.kept, counts.present, counts.failed, counts.groups) == (1, 0, 0, [])
    assert not Case.objects.exists() and len(box.prospects()) == 1


def test_s2_16_with_option_2_it_is_the_failure_with_a_remap_case(box, ada):
    first, second = box.contact("One", "same@example.com"), box.lead("Two", "same@example.com")
    carried(box, [first], ada)
    prospect = str(box.prospects()[0]["id"])

    batch = carried(box, [second], ada, choose=True)

    row = batch.rows.select_related("case").get()
    assert (row.state, row.reason, row.get_reason_display(), row.peer_id) == ("failed", "same_email", SAME_EMAIL, prospect)
    assert (row.case.kind, row.case.crm_type, row.case.crm_id, row.case.peer_id) == ("remap", "Lead", second, prospect)
    assert first in row.sentence
    (group,) = import_counts(batch).groups
    assert (group.title, group.n, group.decided, group.may_retry) == (SAME_EMAIL, 1, 0, True)


def test_s2_4_an_import_keeps_the_policy_of_its_start(box, ada):
    first, second = box.contact("One", "same@example.com"), box.lead("Two", "same@example.com")
    carried(box, [first], ada)
    batch = box.start([second], ada, choose=False)
    Policy.objects.filter(pk=1).update(same_email="choose")

    carry(batch, wiring=box.wiring)

    assert batch.rows.get().state == "present"
    assert carried(box, [second], ada).rows.get().state == "failed"  # the next one goes by the new setting


def test_s2_12_an_address_of_a_lead_and_a_contact_means_the_object_listed_first_and_flips_with_the_order(box, ada):
    contact, lead = box.contact("C", "both@example.com"), box.lead("L", "both@example.com")

    assert carried(box, ["both@example.com"], ada).rows.get().crm_id == contact
    RecordType.objects.filter(crm_object="Contact").update(order=5)
    Binding.objects.all().delete()
    assert carried(box, ["BOTH@example.com"], ada).rows.get().crm_id == lead


def test_an_address_of_several_records_of_one_type_is_left_to_a_person_unless_one_is_linked(box, ada):
    one, two = box.contact("One", "same@example.com"), box.contact("Two", "same@example.com")

    row = carried(box, ["same@example.com"], ada).rows.get()
    assert row.reason == "other" and one in row.sentence and two in row.sentence
    carried(box, [two], ada)
    row = carried(box, ["same@example.com"], ada).rows.get()
    assert (row.state, row.crm_id) == ("present", two)


def test_the_same_record_twice_ends_as_twice_however_it_was_written(box, ada):
    contact = box.contact("Ada", "ada@example.com")

    batch = carried(box, [contact, contact[:15], "ada@example.com", "ADA@example.com"], ada)

    said = [(r.state, r.reason, r.sentence) for r in batch.rows.all()]
    assert said == [
        ("created", "", ""),
        ("failed", "twice", "The same as row 1."),
        ("failed", "twice", "The same record as row 1."),
        ("failed", "twice", "The same as row 3."),
    ]
    assert len(box.prospects()) == 1 and batch.done == 4
    assert import_retry(batch, ada) == 0


def test_what_cannot_be_imported_says_why(box, ada):
    gone, converted, bare = box.contact("Gone", "gone@example.com"), box.lead("Conv", "conv@example.com"), box.contact("Bare")
    box.world.salesforce.delete_record("Contact", gone)
    became = box.world.salesforce.convert({"lead": converted})
    off = box.lead("Off", "off@example.com")

    rows = rows_of(carried(box, [gone, converted, bare], ada))
    RecordType.objects.filter(crm_object="Lead").update(is_on=False)
    refused = carried(box, [off], ada).rows.get()

    assert (rows[gone].reason, rows[bare].reason, rows[converted].reason) == ("not_found", "no_email", "not_found")
    assert str(became.get("contactId") or became.get("ConvertedContactId") or "contact")[:15] in rows[converted].sentence
    assert refused.reason == "other" and "not synced" in refused.sentence
    assert box.prospects() == []


def test_a_record_that_is_linked_already_is_counted_apart(box, ada):
    contact = box.contact("Ada", "ada@example.com")
    carried(box, [contact], ada)

    batch = carried(box, [contact], ada)

    assert batch.rows.get().state == "present" and import_counts(batch).present == 1
    assert len(box.prospects()) == 1


# --- interruptions ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(importing, "ROWS_A_PAGE", 3)


def test_a_process_that_dies_between_pages_is_taken_up_where_it_stopped(box, ada, asked, small_pages, monkeypatch):
    people = [box.contact(f"P{n}", f"p{n}@example.com") for n in range(8)]
    batch = box.start(people, ada)
    pages, settle = [], importing._settle

    def dies(batch, page, decisions):
        if len(pages) == 1:
            raise SystemExit  # the second page was sent, and nothing of it noted
        pages.append(page)
        return settle(batch, page, decisions)

    monkeypatch.setattr(importing, "_settle", dies)
    with pytest.raises(SystemExit):
        carry(batch, wiring=box.wiring)
    assert batch.rows.exclude(state="waiting").count() == 3 and len(box.prospects()) == 6
    monkeypatch.setattr(importing, "_settle", settle)
    box.clock.forward(600)

    assert carry(Import.objects.get(pk=batch.pk), wiring=box.wiring)

    assert {row.state for row in batch.rows.all()} == {"created"}  # also those of the page that was lost
    assert len(box.prospects()) == 8 and Import.objects.get(pk=batch.pk).state == "finished"


def test_an_import_whose_task_was_lost_is_asked_for_again_by_the_minute(box, ada, asked):
    batch = box.start([box.contact("P", "p@example.com")], ada)
    Import.objects.filter(pk=batch.pk).update(created_at="2026-01-01T00:00:00Z")

    jobs.watch_alerts()
    jobs.schedule("reconciliation.jobs.carry_import", batch.pk, name=jobs._later_name(batch.pk))
    jobs.watch_alerts()

    assert asked.count(("carry_import", (batch.pk,))) == 1


def test_a_long_import_gives_the_pass_its_turn_and_goes_on(box, ada, asked, small_pages):
    batch = box.start([box.contact(f"P{n}", f"p{n}@example.com") for n in range(7)], ada)

    assert not carry(batch, wiring=box.wiring, budget=0)
    assert batch.rows.filter(state="waiting").count() == 4 and Import.objects.get(pk=batch.pk).done == 3
    assert not carry(batch, wiring=box.wiring, budget=0)
    assert carry(batch, wiring=box.wiring, budget=0)

    assert Run.objects.filter(kind="staff", state="finished").count() == 3 and len(box.prospects()) == 7


def test_the_job_carries_an_import_and_does_nothing_the_second_time(box, ada, asked):
    batch = box.start([box.contact("P", "p@example.com")], ada)

    assert jobs.carry_import(batch.pk) == "done"
    assert jobs.carry_import(batch.pk) == "nothing to do"
    assert len(box.prospects()) == 1


def test_trouble_on_the_way_is_waited_for_and_said(box, ada, asked):
    batch = box.start([box.contact("P", "p@example.com")], ada)
    box.world.faults.add({"kind": "status", "status": 503, "system": "salesforce", "times": 99})

    assert "Tried again later" in jobs.carry_import(batch.pk)
    batch.refresh_from_db()
    assert batch.state == "running" and "goes on by itself" in batch.note
    assert jobs._is_put_off(batch.pk)
    box.world.faults.clear()
    box.clock.forward(60)
    assert jobs.carry_import(batch.pk, 1) == "done"
    batch.refresh_from_db()
    assert (batch.state, batch.note) == ("finished", "")


def test_what_needs_a_person_interrupts_an_import_and_a_person_lets_it_go_on(box, ada, asked):
    batch = box.start([box.contact("P", "p@example.com")], ada)
    Policy.objects.update_or_create(pk=1, defaults={"writes_stopped_at": box.clock(), "writes_stopped_by": "eve"})

    jobs.carry_import(batch.pk)
    batch.refresh_from_db()
    assert batch.state == "interrupted" and "eve" in batch.note
    with pytest.raises(ImportRefused, match="eve"):
        import_go_on(batch, ada)
    with pytest.raises(ImportRefused, match="eve"):
        box.start(["a@example.com"], ada)
    Policy.objects.filter(pk=1).update(writes_stopped_at=None)

    assert import_go_on(batch, ada) and not import_go_on(batch, ada)
    assert jobs.carry_import(batch.pk) == "done"


def test_an_unforeseen_failure_is_said_and_raised(box, ada, asked, monkeypatch):
    batch = box.start([box.contact("P", "p@example.com")], ada)
    monkeypatch.setattr(importing, "_settle", lambda *a: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        jobs.carry_import(batch.pk)

    batch.refresh_from_db()
    assert batch.state == "interrupted" and "ZeroDivisionError" in batch.note


def test_a_create_whose_answer_was_lost_is_looked_for_and_counted_once(box, ada, asked):
    contact = box.contact("P", "p@example.com")
    batch = box.start([contact], ada)
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/prospects", "times": 1})

    assert "Tried again later" in jobs.carry_import(batch.pk)
    row = batch.rows.get()
    assert row.state == "waiting" and Import.objects.get(pk=batch.pk).state == "running"
    box.clock.forward(300)
    tries = 1
    while jobs.carry_import(batch.pk, tries) not in ("done", "nothing to do"):
        box.clock.forward(120)
        tries += 1
        assert tries < 10

    row.refresh_from_db()
    assert (row.state, len(box.prospects())) == ("created", 1) and Import.objects.get(pk=batch.pk).state == "finished"


def test_rows_that_are_held_wait_and_fail_with_the_reason_at_last(box, ada, asked):
    batch = box.start([box.contact("P", "p@example.com"), box.contact("Q", "q@example.com")], ada)
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/prospects", "times": 1})
    box.world.faults.add({"kind": "index_lag", "system": "outreach", "seconds": 3600})
    jobs.carry_import(batch.pk)
    box.clock.forward(1)  # too early to send it again, and no search shows it

    assert "asked for again" in jobs.carry_import(batch.pk, 1)
    held, other = batch.rows.all()
    assert (held.state, other.state) == ("waiting", "created") and "asked for again" in held.sentence
    jobs.carry_import(batch.pk, jobs.HELD_TRIES)

    held, other = batch.rows.all()
    assert (held.state, held.reason, other.state) == ("failed", "other", "created")
    batch.refresh_from_db()
    assert (batch.state, batch.done) == ("finished", 2)
    box.world.faults.clear()
    import_retry(batch, ada)
    assert jobs.carry_import(batch.pk) == "done"
    assert batch.rows.first().state in ("created", "present") and len(box.prospects()) == 2


def test_d28_two_of_one_file_with_the_same_address_make_one_prospect(box, ada):
    first, second = box.contact("One", "same@example.com"), box.lead("Two", "same@example.com")

    batch = carried(box, [first, second], ada)

    rows = rows_of(batch)
    assert (rows[first].state, rows[second].state) == ("created", "present")
    assert rows[second].sentence == f"Already in Outreach, kept on {first}." and len(box.prospects()) == 1


def test_a_record_whose_link_ended_is_linked_again_when_somebody_imports_it(box, ada):
    contact = box.contact("P", "p@example.com")
    carried(box, [contact], ada)
    Binding.objects.update(is_tombstone=True)

    row = carried(box, [contact], ada).rows.get()

    assert (row.state, row.peer_id) == ("linked", Binding.objects.get().peer_id) and not Binding.objects.get().is_tombstone
    assert len(box.prospects()) == 1


def test_what_somebody_chose_is_made_also_where_new_records_are_not_made_by_themselves(box, ada):
    RecordType.objects.update(inbound_create=False)

    assert carried(box, [box.contact("P", "p@example.com")], ada).rows.get().state == "created"


def test_a_record_that_outreach_refuses_says_so_and_is_taken_up_by_a_retry(box, ada):
    contact = box.contact("P", "p@example.com")
    refusal = {"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/prospects", "times": 1}
    box.world.faults.add(refusal)

    batch = carried(box, [contact], ada)
    row = batch.rows.select_related("case").get()
    assert (row.state, row.reason, row.case.kind) == ("failed", "other", "error") and "Outreach" in row.sentence
    import_retry(batch, ada)
    assert carry(Import.objects.get(pk=batch.pk), wiring=box.wiring)

    assert batch.rows.get().state == "created"
    assert not Case.objects.filter(state="open").exists()


# --- trying again -------------------------------------------------------------------------------------------------------


def test_failures_are_tried_again_one_a_group_or_all_and_nothing_that_is_settled(box, ada):
    bare, missing, fine = box.contact("Bare"), "new@example.com", box.contact("Fine", "fine@example.com")
    batch = carried(box, [bare, missing, fine, fine], ada)
    assert {g.reason: g.n for g in import_counts(batch).groups} == {"no_email": 1, "not_found": 1, "twice": 1}
    box.world.salesforce.update_record("Contact", bare, {"Email": "bare@example.com"})
    new = box.contact("New", missing)

    assert import_retry(batch, ada, row_ids=[batch.rows.get(given=fine, number=3).pk]) == 0
    assert import_retry(batch, ada, reason="no_email") == 1
    assert Import.objects.get(pk=batch.pk).state == "waiting"
    assert carry(Import.objects.get(pk=batch.pk), wiring=box.wiring)
    assert rows_of(batch)[bare].state == "created"
    assert import_retry(batch, ada) == 1
    assert carry(Import.objects.get(pk=batch.pk), wiring=box.wiring)

    assert (rows_of(batch)[missing].state, rows_of(batch)[missing].crm_id) == ("created", new)
    assert len(box.prospects()) == 3
    assert [e.action for e in AuditEntry.objects.order_by("pk")][-2:] == ["import prospects: retry"] * 2


def test_s2_19_several_failed_imports_are_worked_through_in_one_sitting_and_count_as_decided(box, ada):
    firsts = [box.contact(f"One{n}", f"s{n}@example.com") for n in range(3)]
    seconds = [box.lead(f"Two{n}", f"s{n}@example.com") for n in range(3)]
    carried(box, firsts, ada)
    batch = carried(box, seconds, ada, choose=True)
    prospects = [rows_of(batch)[s].peer_id for s in seconds]
    assert asked_prospects(box.sync_pass, batch.pk) == prospects

    choose_now(box, ada, prospects[0], "Lead", seconds[0])
    remap_keep(prospects[1], ada)

    (group,) = import_counts(batch).groups
    assert (group.n, group.decided) == (3, 2)
    assert asked_prospects(box.sync_pass, batch.pk) == prospects[2:]
    import_retry(batch, ada)
    carry(Import.objects.get(pk=batch.pk), wiring=box.wiring)
    assert [rows_of(batch)[s].state for s in seconds] == ["present", "failed", "failed"]
    (group,) = import_counts(batch).groups
    assert (group.kept, import_counts(batch).retryable()) == (1, 1)  # who was kept is not asked about again
    assert box.peer(prospects[0])["externalId"] == seconds[0]
    assert asked_prospects(box.sync_pass, batch.pk) == prospects[2:]  # what was kept is not asked again


# --- one record ---------------------------------------------------------------------------------------------------------


def test_s2_13_one_record_goes_the_same_road_and_its_failure_leads_to_the_remap(box, ada):
    first, second = box.contact("One", "same@example.com"), box.lead("Two", "same@example.com", FirstName="Tim")
    assert import_one(box.sync_pass, first, ada, wiring=box.wiring).state == "created"
    Policy.objects.update_or_create(pk=1, defaults={"same_email": "choose"})

    row = import_one(box.sync_pass, second, ada, wiring=box.wiring)

    assert (row.state, row.reason, row.case.kind) == ("failed", "same_email", "remap")
    assert Import.objects.get(pk=row.batch_id).title == "Tim Two"
    with pytest.raises(ImportRefused, match="names no lead or contact"):
        import_one(box.sync_pass, "<script>", ada, wiring=box.wiring)


def test_one_record_while_salesforce_does_not_answer_leaves_an_import_that_says_so(box, ada):
    contact = box.contact("One", "one@example.com")
    box.world.faults.add({"kind": "status", "status": 503, "system": "salesforce", "times": 99})

    with pytest.raises(ConnectorError):
        import_one(box.sync_pass, contact, ada, wiring=box.wiring)

    batch = Import.objects.get()
    assert batch.state == "interrupted" and "Salesforce" in batch.note and batch.rows.get().state == "waiting"


def test_nothing_is_started_without_rows_types_or_a_pass_that_is_on(box, ada):
    with pytest.raises(ImportRefused, match="None of the rows"):
        import_start(box.sync_pass, choice_of(["nobody"]), ada, source="csv", title="x")
    box.sync_pass.hold_reason = "A field is gone"
    with pytest.raises(ImportRefused, match="A field is gone"):
        box.start(["a@example.com"], ada)
    box.sync_pass.hold_reason = ""
    RecordType.objects.all().delete()
    with pytest.raises(ImportRefused, match="Record types"):
        box.start(["a@example.com"], ada)
    assert not Import.objects.exists() and not ImportRow.objects.exists()


# --- two at once ------------------------------------------------------------------------------------------------------


def test_while_the_pass_is_at_work_an_import_waits_for_its_turn_with_one_task(box, ada, asked, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.staff.WAIT_SECONDS", 0)
    batch = box.start([box.contact("P", "p@example.com")], ada)
    held = leases.take("pass:prospects", "a run")

    for tries in (0, 1, 2):
        assert "Tried again later" in jobs.carry_import(batch.pk, tries)
    assert Schedule.objects.filter(func="reconciliation.jobs.carry_import").count() == 1
    with pytest.raises(PassAtWork) as later:
        import_one(box.sync_pass, box.contact("Q", "q@example.com"), ada, wiring=box.wiring)
    held.release()

    assert jobs.carry_import(batch.pk) == jobs.carry_import(later.value.batch.pk) == "done"
    assert len(box.prospects()) == 2


def test_an_import_that_waited_for_its_turn_too_long_says_so(box, ada, asked, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.staff.WAIT_SECONDS", 0)
    batch = box.start([box.contact("P", "p@example.com")], ada)
    leases.take("pass:prospects", "a run")

    jobs.carry_import(batch.pk, jobs.MOST_TRIES)

    batch.refresh_from_db()
    assert batch.state == "interrupted" and "The pass was at work" in batch.note


def test_what_is_retried_while_the_last_page_is_closed_is_not_left_behind(box, ada):
    bare = box.contact("Bare")
    batch = carried(box, [bare], ada)
    box.edit_crm("Contact", bare, Email="bare@example.com")
    Import.objects.filter(pk=batch.pk).update(state="running")  # the work has not closed it yet

    assert import_retry(batch, ada) == 1
    assert carry(Import.objects.get(pk=batch.pk), wiring=box.wiring)
    batch.refresh_from_db()
    assert (batch.rows.get().state, batch.state, batch.done) == ("created", "finished", 1)


def test_an_import_takes_up_a_record_whose_prospect_is_gone_and_fills_no_brake_of_the_sweep(box, ada):
    contact = box.contact("Byrne", "byrne@example.com")
    carried(box, [contact], ada)
    other = box.contact("Evans", "eve@example.com")
    carried(box, [other], ada)
    id_ = Binding.objects.get(crm_id=contact).peer_id
    box.world.outreach.delete_record("prospects", int(id_))
    box.run(forward=25 * 3600)
    assert Binding.objects.get(crm_id=contact).is_tombstone

    batch = carried(box, [contact], ada)

    assert [row.state for row in batch.rows.all()] == ["created"], list(batch.rows.values_list("state", "sentence"))
    assert {p["lastName"] for p in box.prospects()} == {"Byrne", "Evans"}
    assert not Binding.objects.get(crm_id=contact).is_tombstone and not SyncPass.objects.get().sweep_blanked
