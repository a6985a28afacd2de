"""Two colleagues decide at once: while one waits for the pass, the other is quicker. Nothing is done twice, and the slower
one is told."""

import pytest
from django.contrib.auth.models import User

from reconciliation import jobs
from reconciliation.engine import staff
from reconciliation.models import AuditEntry, Binding, Case, Difference, Operation, RememberedPair, Run, RunEvent, Tombstone
from reconciliation.services import duplicates, errors
from reconciliation.services.differences import chosen, force, force_plan
from reconciliation.services.duplicate_bulk import duplicates_link, equal_domains
from reconciliation.services.duplicate_undo import duplicate_undo, plan_undo
from reconciliation.services.duplicates import CLOSED_MEANWHILE, Decision, DecisionRefused
from reconciliation.services.fields import FieldsRefused, fields_create
from reconciliation.services.restore import restore, restore_plan
from reconciliation.services.undo import undo, undoable
from tests.admin.test_pages import log_in
from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, SYNC, make
from tests.services.test_fields import columns_of, without_plugin

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def tom():
    return User.objects.create(username="tom")


@pytest.fixture
def box():
    return make()


@pytest.fixture
def meanwhile(monkeypatch):
    """Lets something else be done while the next decision waits for the lease."""

    def arrange(do):
        wait = staff._wait_for_lease

        def slow(*arguments):
            monkeypatch.setattr(staff, "_wait_for_lease", wait)
            do()
            return wait(*arguments)

        monkeypatch.setattr(staff, "_wait_for_lease", slow)

    return arrange


def writes(box):
    """Returns how often each system was written to since the last look."""
    return {call: n for call, n in box.calls().items() if call.split()[0] in WRITES}


def decided(olga):
    """Returns what the audit log says that this person did."""
    return list(AuditEntry.objects.filter(username=olga.username).values_list("action", flat=True))


# --- duplicates -------------------------------------------------------------------------------------------------------
@pytest.fixture
def twins(box):
    """Two organisations of which each is the duplicate of an account with its domain."""
    ids = []
    for name in ("Acme", "Birch"):
        box.world.outreach.create_record("accounts", {"name": name, "domain": f"{name.lower()}.example"})
        ids.append(box.organisation(name, website=f"https://{name.lower()}.example"))
    box.run()
    return ids


def case_of(id_):
    return Case.objects.get(crm_id=str(id_))


def account_of(id_):
    return case_of(id_).candidates[0]["peer_id"]


WAYS = {
    "link": lambda box, id_, by: duplicates.duplicate_link(Decision(case_of(id_), by, wiring=box.wiring), account_of(id_)),
    "different": lambda box, id_, by: duplicates.duplicate_different(Decision(case_of(id_), by, wiring=box.wiring)),
    "stop": lambda box, id_, by: duplicates.duplicate_stop(Decision(case_of(id_), by, wiring=box.wiring)),
}
STANDS = {"link": ("1", False, True), "different": ("", False, True), "stop": ("", True, False)}  # Id there, flag, ticked


def standing(box, id_):
    row = box.show(id_)
    return ("1" if row[PEER_ID] else "", row[DUPLICATE], row[SYNC])


@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("first", WAYS)
def test_the_slower_decision_about_a_duplicate_is_refused_and_writes_nothing(box, twins, olga, tom, meanwhile, first, second):
    id_ = twins[0]
    meanwhile(lambda: (box.calls(), WAYS[first](box, id_, tom)))

    with pytest.raises(DecisionRefused, match="already closed by tom"):
        WAYS[second](box, id_, olga)

    assert standing(box, id_) == STANDS[first]
    assert sum(writes(box).values()) == 1 and decided(olga) == []
    assert RememberedPair.objects.exists() == (first == "different")
    assert case_of(id_).decided_by == tom
    refused = Run.objects.latest("pk")
    assert (refused.started_by, refused.state) == ("olga", "refused") and "already closed by tom" in refused.note


def test_a_link_undone_by_two_people_is_undone_once(box, twins, olga, tom, meanwhile):
    id_ = twins[0]
    WAYS["link"](box, id_, tom)
    case = case_of(id_)
    meanwhile(lambda: (box.calls(), duplicate_undo(Decision(case, tom, wiring=box.wiring))))

    with pytest.raises(DecisionRefused, match="already taken back"):
        duplicate_undo(Decision(case, olga, wiring=box.wiring))

    assert case_of(id_).state == "open" and sum(writes(box).values()) == 1
    assert decided(tom) == ["duplicate: undo", "duplicate: link"] and decided(olga) == []


def test_an_undo_takes_back_the_decision_that_was_shown_and_no_later_one(box, twins, olga, tom, meanwhile):
    id_ = twins[0]
    WAYS["stop"](box, id_, tom)
    case = case_of(id_)

    def undone_and_linked():
        duplicate_undo(Decision(case, tom, wiring=box.wiring))
        WAYS["link"](box, id_, tom)

    meanwhile(undone_and_linked)

    with pytest.raises(DecisionRefused, match="changed while you were looking"):
        duplicate_undo(Decision(case, olga, stamp=plan_undo(case).stamp, wiring=box.wiring))

    assert standing(box, id_) == STANDS["link"] and decided(olga) == []


def test_of_many_links_those_that_somebody_decided_meanwhile_are_refused_alone(box, twins, olga, tom, meanwhile):
    keys = [row.key for row in equal_domains()]
    meanwhile(lambda: WAYS["stop"](box, twins[0], tom))

    assert duplicates_link(keys, olga, wiring=box.wiring) == (1, 1)

    assert standing(box, twins[0]) == STANDS["stop"] and standing(box, twins[1]) == STANDS["link"]
    refused = RunEvent.objects.get(reason="changed_meanwhile")
    assert refused.crm_ref.endswith(f":{twins[0]}") and "already closed by tom (unticked)" in refused.sentence


def test_of_many_links_those_that_are_no_case_any_more_are_refused_alone(box, twins, olga, meanwhile):
    keys = [row.key for row in equal_domains()]
    meanwhile(lambda: case_of(twins[0]).delete())

    assert duplicates_link([f"{10**17}|1|x", *keys], olga, wiring=box.wiring) == (1, 2)
    assert duplicates_link([f"{10**17}|1|x"], olga, wiring=box.wiring) == (0, 1)

    assert standing(box, twins[0])[0] == "" and standing(box, twins[1]) == STANDS["link"]


def test_an_organisation_chosen_twice_gets_one_account(box, twins, olga):
    first, _ = (row.key for row in equal_domains())
    other = account_of(twins[1])

    assert duplicates_link([first, first, first.replace(f"|{account_of(twins[0])}|", f"|{other}|")], olga, wiring=box.wiring) == (1, 0)

    assert box.show(twins[0])[PEER_ID] == account_of(twins[0])
    assert Binding.objects.get().peer_id == account_of(twins[0])


# --- errors -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def gone(box):
    """An organisation whose account is gone, and an account that could stand for it."""
    id_ = box.organisation("Vanished", industry="Food")
    box.run()
    box.world.outreach.delete_record("accounts", box.accounts("Vanished")[0]["id"])
    box.clock.forward(300)
    box.edit(id_, industry="Health")
    box.run()
    box.other = str(box.world.outreach.create_record("accounts", {"name": "Successor"})["id"])
    return id_


def error(id_):
    return Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").get(crm_id=str(id_), kind="error")


ENDS = {
    "again": lambda box, id_, by: errors.account_create_again(error(id_), by, wiring=box.wiring),
    "link": lambda box, id_, by: errors.account_link_another(error(id_), by, box.other, wiring=box.wiring),
    "stop": lambda box, id_, by: errors.account_stop(error(id_), by, wiring=box.wiring),
    "retry": lambda box, id_, by: errors.error_retry([error(id_)], by, wiring=box.wiring),
}


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
def test_the_slower_decision_about_an_error_is_refused_and_writes_nothing(box, gone, olga, tom, meanwhile, first, second):
    meanwhile(lambda: (box.calls(), ENDS[first](box, gone, tom)))

    with pytest.raises(DecisionRefused, match=f"already closed|{CLOSED_MEANWHILE}"):
        ENDS[second](box, gone, olga)

    row = box.show(gone)
    assert (row[SYNC], row[ERROR]) == (first != "stop", False)
    assert (row[PEER_ID] == box.other) == (first == "link") and (row[PEER_ID] == "") == (first == "again")
    assert sum(writes(box).values()) == 1 and decided(olga) == []
    assert Binding.objects.get().is_tombstone == (first == "again")


def test_of_many_errors_only_those_still_open_are_re_armed(box, olga, tom, meanwhile):
    ids = [box.organisation(f"Refused {n}") for n in range(3)]
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 3})
    box.run()
    cases = list(Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").order_by("pk"))
    meanwhile(lambda: errors.error_retry(cases[:1], tom, wiring=box.wiring))

    assert errors.error_retry(cases, olga, wiring=box.wiring) == 2

    cleared = Operation.objects.filter(kind="flag", after__has_key=ERROR, run__kind="staff").values_list("target_id", flat=True)
    assert sorted(cleared) == sorted(str(id_) for id_ in ids)  # each once
    assert AuditEntry.objects.get(username="olga").subject == "2 errors"


def test_a_job_for_errors_that_somebody_re_armed_meanwhile_says_so(box, olga, tom, meanwhile, monkeypatch):
    ids = [box.organisation(f"Refused {n}") for n in range(2)]
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 2})
    box.run()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    keys = list(Case.objects.values_list("pk", flat=True))
    cases = list(Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping"))
    meanwhile(lambda: errors.error_retry(cases, tom, wiring=box.wiring))

    assert CLOSED_MEANWHILE in jobs.retry_errors(keys, olga.pk)

    run = Run.objects.latest("pk")
    assert (run.started_by, run.state) == ("olga", "refused") and CLOSED_MEANWHILE in run.note
    assert not any(box.show(id_)[ERROR] for id_ in ids)


def test_the_page_tells_that_a_colleague_was_quicker(client, box, gone, tom, meanwhile, monkeypatch):
    log_in(client, "operator")
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr(jobs, "async_task", lambda *a, **k: None)
    meanwhile(lambda: ENDS["stop"](box, gone, tom))

    page = client.post("/errors/retry/", {"case": error(gone).pk, "back": "/errors/"}, follow=True)

    assert page.redirect_chain[0][0] == "/errors/" and CLOSED_MEANWHILE in page.content.decode()


# --- undo, force, restore, fields ---------------------------------------------------------------------------------------
def test_writes_that_two_people_take_back_are_taken_back_once(box, olga, tom, meanwhile):
    ids = [box.organisation(f"Company {n}", industry="Food") for n in range(2)]
    box.run()
    box.clock.forward(300)
    for id_ in ids:
        box.edit(id_, industry="Health")
    run = box.run()
    meanwhile(lambda: (box.calls(), undo(box.sync_pass, list(undoable(run)), tom, wiring=box.wiring)))

    lines = undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    assert [line.is_possible for line in lines] == [False, False]
    assert all("taken back already" in line.sentence for line in lines)
    assert sum(writes(box).values()) == 2
    assert [a["industry"] for a in box.accounts()] == ["Food"] * 2


def test_an_undo_is_not_done_again_where_the_value_came_back_since(box, olga, tom, meanwhile):
    """The value alone does not tell that a write was taken back: it may have been sent anew."""
    id_ = box.organisation("Company", industry="Food")
    box.run()
    box.clock.forward(300)
    box.edit(id_, industry="Health")
    run = box.run()

    def undone_and_sent_again():
        undo(box.sync_pass, list(undoable(run)), tom, wiring=box.wiring)
        box.world.outreach.update_record("accounts", box.accounts()[0]["id"], {"industry": "Health"})

    meanwhile(undone_and_sent_again)

    (line,) = undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    assert not line.is_possible and box.accounts()[0]["industry"] == "Health"


def test_a_difference_that_two_people_force_is_sent_once(box, olga, tom, meanwhile):
    id_, keys = differing(box)
    meanwhile(lambda: (box.calls(), force(keys, tom, wiring=box.wiring)))

    done = force(keys, olga, wiring=box.wiring)

    assert (done.written, done.agreed, done.refusals) == (0, 1, ())
    assert sum(writes(box).values()) == 1 and not Difference.objects.exists()
    assert box.accounts("Acme")[0]["industry"] == "Food"


def test_a_difference_whose_link_ended_meanwhile_is_not_forced(box, olga, tom, meanwhile):
    id_, keys = differing(box)
    meanwhile(lambda: (duplicate_undo(Decision(case_of(id_), tom, wiring=box.wiring)), box.calls()))

    done = force(keys, olga, wiring=box.wiring)

    assert done.written == 0 and "The link ended" in done.refusals[0]
    assert writes(box) == {} and box.accounts("Acme")[0]["industry"] == "typed there"


def differing(box):
    """Links an organisation to an account that says something else. Returns its id and the key of the difference."""
    box.world.outreach.create_record("accounts", {"name": "Acme", "domain": "acme.example", "industry": "typed there"})
    id_ = box.organisation("Acme", website="https://acme.example", industry="Food")
    box.run()
    WAYS["link"](box, id_, User.objects.create(username="who linked"))
    (row,) = Difference.objects.filter(peer_field="industry")
    Difference.objects.exclude(pk=row.pk).delete()
    return id_, [line.key for line in force_plan(chosen([row.pk]), wiring=box.wiring)]


@pytest.mark.parametrize("key", ["", "|", "²|x", "5", f"{10**30}|x", "-1|x"])
def test_a_key_that_no_form_ever_had_forces_nothing(olga, key):
    assert force([key], olga).written == 0


def test_a_record_that_two_people_restore_is_made_once_and_the_slower_one_is_told(box, olga, tom, meanwhile):
    id_ = box.organisation("Northwind")
    box.run()
    box.clock.forward(300)
    box.run()
    box.world.workbooks.delete_record("organisations", id_)
    box.run()
    stone = Tombstone.objects.get()
    assert not restore_plan(stone, wiring=box.wiring).refusal
    meanwhile(lambda: (box.calls(), restore(stone, tom, wiring=box.wiring)))

    with pytest.raises(DecisionRefused, match="restored already"):
        restore(stone, olga, wiring=box.wiring)

    assert sum(writes(box).values()) == 1 and decided(olga) == []
    assert Tombstone.objects.get().restored_by == "tom"


def test_a_field_that_two_people_create_is_made_once(olga, tom, meanwhile):
    box = without_plugin(make())
    one = [("organisation", "sync")]
    meanwhile(lambda: fields_create(box.sync_pass, one, tom, wiring=box.wiring))

    with pytest.raises(FieldsRefused, match="Nothing is missing"):
        fields_create(box.sync_pass, one, olga, wiring=box.wiring)

    titles = [column.title for column in columns_of(box, "organisations").values()]
    assert titles.count("Sync to Outreach") == 1 and decided(olga) == []


def test_a_note_is_not_put_on_a_case_that_is_closed_at_that_moment(box, twins, olga, tom, monkeypatch):
    case = case_of(twins[0])
    fresh = duplicates.check_fresh

    def looked_at(decision):
        found = fresh(decision)
        Case.objects.filter(pk=case.pk).update(state="resolved", decided_by=tom)
        return found

    monkeypatch.setattr(duplicates, "check_fresh", looked_at)

    with pytest.raises(DecisionRefused, match="Somebody else closed"):
        duplicates.duplicate_later(Decision(case, olga, reason="ask sales"))

    assert decided(olga) == [] and case_of(twins[0]).note == ""
