"""A person who is forgotten stands nowhere in our database afterwards; who did it and when does."""

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection, models
from django.utils import timezone

from reconciliation import jobs
from reconciliation.engine import search_index
from reconciliation.engine.staff import at_work
from reconciliation.models import (
    AuditEntry,
    Binding,
    Case,
    Forgetting,
    Operation,
    PeerName,
    RemoteUser,
    Run,
    RunEvent,
    SearchKey,
    SyncPass,
)
from reconciliation.models.encrypted import EncryptedJSONField
from reconciliation.services import forgetting
from reconciliation.services.audit import audit
from reconciliation.services.forgetting import (
    ForgettingRefused,
    drop_unconfirmed,
    forget_ask,
    forget_carry_on,
    forget_confirm,
    forget_count,
    forget_drop,
    words_of,
)
from reconciliation.services.undo import undo_plan, undoable
from tests.admin.test_pages import log_in
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
MAIL, NAME, OTHER = "jane.doe@acme.example", "Zoë Ødegård", "mary.jane.doe@acme.example"
SPELLED = [MAIL, MAIL.upper(), quote(MAIL, safe=""), NAME, quote(NAME), json.dumps(NAME)[1:-1], NAME.upper(), NAME.casefold()]


@pytest.fixture
def box():
    return make()


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def person(box, **values):
    made = box.world.workbooks.create_record("people", {"name": NAME, "main_location[email]": MAIL, **values})
    return str(made["id"])


def plant(box):
    """Puts the person, and somebody else, into every text and JSON column of every table of ours."""
    now = timezone.now()
    text = f"{' / '.join(SPELLED)} and {OTHER}"
    box.organisation("Acme")
    box.run()
    run = Run.objects.latest("pk")
    sync_pass = box.sync_pass
    Case.objects.create(sync_pass=sync_pass, kind="error", crm_id="7", reason="x", sentence="x", opened_at=now, state="resolved")
    Case.objects.create(sync_pass=sync_pass, kind="duplicate", crm_id="8", reason="x", sentence="x", opened_at=now)
    RemoteUser.objects.create(connection=sync_pass.peer, username="a", read_at=now)
    PeerName.objects.create(sync_pass=sync_pass, peer_id="77", name="a", name_key="a", seen_at=now)
    RunEvent.objects.create(run=run, crm_ref="x", outcome="created", at=now)
    keys = {"crm_type", "crm_id", "peer_type", "peer_id", "target_id", "writer_key", "marker", "object_type", "world_id"}
    for model in forgetting._models():
        texts, documents = forgetting._columns(model)
        for row in model._default_manager.all():
            for n, column in enumerate(texts):
                if column.name not in keys:
                    longest = text if column.max_length is None else SPELLED[n % len(SPELLED)][: column.max_length]
                    setattr(row, column.name, longest)
            for column in documents:
                setattr(
                    row,
                    column.name,
                    {"a": [text, {"b": MAIL}], NAME: 1} if column.name != "candidates" else [{"peer_id": "1", "name": text}],
                )
            row.save()
    return text


def everything():
    """Returns (table, column, text) of every value in the database, as it is stored."""
    for model in apps.get_models():
        for column in model._meta.concrete_fields:
            if isinstance(column, models.CharField | models.TextField | models.JSONField) and not isinstance(column, EncryptedJSONField):
                for value in model._default_manager.values_list(column.name, flat=True):
                    yield (
                        model.__name__,
                        column.name,
                        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str),
                    )


def where(*spellings):
    return [(t, c) for t, c, value in everything() for s in spellings if s.casefold() in value.replace(OTHER, "").casefold()]


def forget(box, olga, who, also=""):
    row = forget_ask(who, also, olga)
    forget_count(row.pk, wiring=box.wiring)
    row.refresh_from_db()
    assert forget_confirm(row, olga)
    assert forget_carry_on(row.pk)
    row.refresh_from_db()
    return row


def test_nothing_of_the_person_is_left_in_any_table_and_everybody_else_stays(box, olga):
    plant(box)
    assert len({t for t, _ in where(MAIL)}) >= 8

    row = forget(box, olga, MAIL, NAME)

    assert where(*SPELLED) == []
    assert OTHER in Case.objects.get(kind="error").sentence
    assert f"(forgotten {row.pk})" in Operation.objects.first().exchange["a"][0]
    assert f"(forgotten {row.pk})" in RunEvent.objects.first().sentence


def test_what_was_done_and_by_whom_stands_without_the_person(box, olga):
    plant(box)

    row = forget(box, olga, MAIL, NAME)

    assert (row.state, row.asked_by_name, row.terms, words_of(row)) == ("finished", "olga", {}, [])
    assert row.untouched == ["Workbooks (sandbox)", "Outreach (sandbox)"]
    said = list(AuditEntry.objects.order_by("pk").values_list("username", "action", "subject"))
    assert said == [("olga", f"forget a person{what}", f"forgetting {row.pk}") for what in (": count", "", ": done")]
    assert AuditEntry.objects.last() and where(MAIL, NAME) == []


def test_the_terms_are_encrypted_while_they_wait(box, olga):
    row = forget_ask(MAIL, NAME, olga)

    with connection.cursor() as cursor:
        cursor.execute("SELECT terms FROM reconciliation_forgetting")
        stored = cursor.fetchone()[0]
    assert MAIL not in stored and NAME not in stored and words_of(row)[0] == NAME


def test_the_count_says_where_and_changes_nothing(box, olga):
    plant(box)
    audit(olga, "try", f"a note on {MAIL}")
    before = sorted(map(str, everything()))
    row = forget_ask(MAIL, NAME, olga)

    forget_count(row.pk, wiring=box.wiring)

    row.refresh_from_db()
    found = {(f["table"], f["field"]): f["rows"] for f in row.counts["found"]}
    assert found[("Cases", "sentence")] == 2 and found[("Cases", "candidates")] == 2 and found[("Cases", "fields")] == 2
    assert {("Writes in the journal", n) for n in ("before", "after", "request and answer", "name in the index")} <= set(found)
    assert ("Events of runs", "sentence") in found and ("Links and what both sides agreed on", "values of the CRM") in found
    assert row.counts["audit"] == 1
    skip = ("AuditEntry", "Forgetting")
    assert [v for v in before if not v.startswith(tuple(f"('{n}'" for n in skip))] == [
        v for v in sorted(map(str, everything())) if not v.startswith(tuple(f"('{n}'" for n in skip))
    ]


def test_a_number_is_looked_up_in_workbooks_and_finds_name_and_address(box, olga):
    id_ = person(box)
    Case.objects.create(sync_pass=box.sync_pass, kind="error", crm_id="7", reason="x", sentence=f"{NAME}, {MAIL}", opened_at=timezone.now())

    row = forget(box, olga, id_)

    assert Case.objects.get().sentence == f"(forgotten {row.pk}), (forgotten {row.pk})"


def test_an_address_finds_the_name_workbooks_knows(box, olga):
    person(box)
    row = forget_ask(MAIL, "", olga)

    forget_count(row.pk, wiring=box.wiring)

    row.refresh_from_db()
    assert {MAIL, NAME} <= set(words_of(row))


def test_a_system_that_does_not_answer_is_said_and_the_rest_is_counted(box, olga):
    box.world.faults.add({"kind": "status", "status": 503, "system": "workbooks", "times": 50})
    row = forget_ask("12", "", olga)

    forget_count(row.pk, wiring=box.wiring)

    row.refresh_from_db()
    assert row.state == "counted" and row.counts["trouble"] and "workbooks:person:12" in words_of(row)


def test_writes_to_the_persons_own_record_lose_what_the_system_answered(box, olga):
    box.organisation("Acme")
    box.run()
    run = Run.objects.latest("pk")
    move = {"connection": box.sync_pass.peer, "kind": "move_prospect", "object_type": "prospect", "target_id": "991", "state": "confirmed"}
    move |= {"source_ref": "workbooks:person:55", "writer_key": "991", "after": {"account": "1"}, "intended_at": timezone.now()}
    Operation.objects.create(run=run, **move, exchange={"method": "PATCH", "response": "Somebody's phone"})

    row = forget(box, olga, "55")

    left = Operation.objects.get(kind="move_prospect")
    mark = f"(forgotten {row.pk})"
    assert (left.source_ref, left.target_id, left.writer_key, left.exchange) == (mark, mark, mark, {"forgotten": mark})
    assert left.after == {"account": "1"}


def write(box, **values):
    box.organisation("Acme")
    box.run()
    operation = Operation.objects.get(kind="create")
    Operation.objects.filter(pk=operation.pk).update(**values)
    return operation


def test_a_write_that_held_the_person_cannot_be_undone_into_a_mark(box, olga):
    operation = write(box, kind="update", before={"name": MAIL}, after={"name": "Acme"})
    assert undo_plan(box.sync_pass, list(undoable(operation.run)), wiring=box.wiring)[0].is_possible

    forget(box, olga, MAIL)

    operation.refresh_from_db()
    line = undo_plan(box.sync_pass, list(undoable(operation.run)), wiring=box.wiring)[0]
    assert not operation.is_undoable and not line.is_possible and "was forgotten" in line.sentence
    assert box.accounts("Acme")


def test_a_plan_that_held_the_person_is_refused_and_never_written(box, olga):
    box.organisation("Acme", description=MAIL, website=f"https://x.example/?{MAIL}")
    preview = box.run(kind="preview")

    forget(box, olga, MAIL)
    box.run(kind="apply", apply_of=preview.pk)

    assert list(Operation.objects.filter(run=preview).values_list("state", flat=True)) == ["refused"]
    assert box.accounts() == []


def test_a_mark_in_a_base_is_never_sent_and_the_value_comes_anew_from_workbooks(box, olga):
    id_ = box.organisation("Acme", website="https://jane.doe.example")
    box.run()
    Binding.objects.update(crm_base={**Binding.objects.get().crm_base, "website": f"mailto:{MAIL}"})

    forget(box, olga, MAIL)
    assert "forgotten" in Binding.objects.get().crm_base["website"]
    box.edit(id_, industry="Food")
    box.run()

    assert box.accounts("Acme")[0]["websiteUrl"] == "https://jane.doe.example" and box.accounts("Acme")[0]["industry"] == "Food"
    assert "forgotten" not in json.dumps(Binding.objects.get().crm_base)


def test_the_executor_writes_no_mark_whoever_asks_for_it(box):
    from reconciliation.core.operations import Intent

    operation = write(box)
    with at_work(box.sync_pass, by="olga", what="x", wiring=box.wiring) as context:
        intent = Intent("update", "peer", "account", "x", {"name": "Acme", "industry": "(forgotten 3)"}, target_id=operation.target_id)
        (made,) = context.executor.intend([intent])

    assert made.after == {"name": "Acme"}


def test_a_write_under_way_stays_whole_and_is_said(box, olga):
    operation = write(box, state="sent", after={"name": MAIL}, writer_key="77")

    row = forget(box, olga, MAIL)

    operation.refresh_from_db()
    assert operation.after == {"name": MAIL} and row.counts["left"] == 1


def test_names_of_accounts_are_read_anew_so_that_no_account_is_missed(box, olga):
    box.organisation("Acme")
    box.run()
    box.world.outreach.create_record("accounts", {"name": NAME})
    box.organisation("Brook")
    box.run()
    assert PeerName.objects.filter(name=NAME).exists()

    forget(box, olga, MAIL, NAME)
    assert not PeerName.objects.filter(name=NAME).exists() and SyncPass.objects.get().names_read_until is None
    box.sync_pass.refresh_from_db()
    box.organisation(NAME)
    box.run()

    assert len(box.accounts(NAME)) == 1 and Case.objects.filter(kind="duplicate", name=NAME).exists()


def test_it_stops_when_its_time_is_over_and_goes_on_where_it_stood(box, olga, monkeypatch):
    monkeypatch.setattr(forgetting, "KEYS_A_LOOK", 2)
    plant(box)
    row = forget_ask(MAIL, NAME, olga)
    forget_count(row.pk, wiring=box.wiring)
    row.refresh_from_db()
    found = row.counts["found"]
    forget_confirm(row, olga)
    rounds = 1
    while not forget_carry_on(row.pk, budget_seconds=0):
        rounds += 1
        assert rounds < 500

    row.refresh_from_db()
    assert rounds > 5 and where(*SPELLED) == []
    assert row.counts["blanked"] == found


def test_rows_that_would_say_the_same_where_that_is_forbidden_are_told_apart(box, olga):
    """A person is in the search index by name and by e-mail, each once."""
    ref = "workbooks:organisation:7"
    for kind, text in ((search_index.NAME, NAME), (search_index.EMAIL, MAIL)):
        search_index.note_names(box.sync_pass, [(ref, kind, text)], timezone.now())
    assert SearchKey.objects.filter(ref=ref).count() == 2

    row = forget(box, olga, MAIL, NAME)

    left = list(SearchKey.objects.filter(ref=ref).order_by("pk").values_list("pk", "key"))
    assert len({key for _, key in left}) == 2 and all(f"forgotten {row.pk}" in key for _, key in left)
    assert where(MAIL, NAME) == []


@pytest.mark.parametrize("who", ["", "jane", "@", "²", "1" * 30, "a@b"])
def test_what_names_nobody_is_refused(box, olga, who):
    with pytest.raises(ForgettingRefused):
        forget_ask(who, "", olga)


@pytest.mark.parametrize("also", ["Doe", "A B", "x" * 300 + " y", "\n".join(f"Jane Doe{n}" for n in range(21))])
def test_words_that_would_be_found_in_too_much_are_refused(box, olga, also):
    with pytest.raises(ForgettingRefused):
        forget_ask(MAIL, also, olga)


def test_what_is_not_confirmed_is_dropped_with_its_words(box, olga):
    row, old = forget_ask(MAIL, "", olga), forget_ask(MAIL, "", olga)
    Forgetting.objects.filter(pk=old.pk).update(asked_at=timezone.now() - timedelta(days=2))

    assert drop_unconfirmed() == 1 and forget_drop(row, olga)

    assert list(Forgetting.objects.values_list("state", flat=True)) == ["dropped", "dropped"]
    assert all(words_of(r) == [] for r in Forgetting.objects.all())
    row.refresh_from_db()
    assert not forget_confirm(row, olga)


@pytest.fixture
def asked(monkeypatch):
    """Collects the tasks that would go to the queue."""
    tasks = []
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: tasks.append((path.rsplit(".", 1)[-1], a)))
    return tasks


def test_a_count_that_a_dead_worker_lost_is_asked_for_again_once(box, olga, asked):
    lost, young = forget_ask(MAIL, "", olga), forget_ask(MAIL, "", olga)
    Forgetting.objects.filter(pk=lost.pk).update(asked_at=timezone.now() - timedelta(minutes=31))

    jobs.prune()
    jobs.prune()  # while the worker counts

    assert asked == [("forget_count", (lost.pk,))]
    forget_count(lost.pk, wiring=box.wiring)
    jobs.prune()
    assert asked == [("forget_count", (lost.pk,))] and young.state == "counting"


def test_blanking_that_a_dead_worker_lost_is_asked_for_again_and_not_while_it_is_under_way(box, olga, asked, monkeypatch):
    monkeypatch.setattr(forgetting, "KEYS_A_LOOK", 2)
    plant(box)
    row = forget_ask(MAIL, NAME, olga)
    forget_count(row.pk, wiring=box.wiring)
    Forgetting.objects.update(asked_at=timezone.now() - timedelta(hours=20))  # it was confirmed long after it was asked for
    row.refresh_from_db()
    forget_confirm(row, olga)

    jobs.prune()
    assert asked == []
    heard_of(row, minutes_ago=31)
    forget_carry_on(row.pk, budget_seconds=0)
    jobs.prune()
    assert asked == []

    heard_of(row, minutes_ago=31)
    jobs.prune()
    jobs.prune()
    assert asked == [("forget", (row.pk,))]
    while not forget_carry_on(row.pk, budget_seconds=0):
        pass
    assert where(*SPELLED) == []
    heard_of(row, minutes_ago=31)
    jobs.prune()
    assert asked == [("forget", (row.pk,))]


def heard_of(row, *, minutes_ago):
    row.refresh_from_db()
    at = timezone.now() - timedelta(minutes=minutes_ago)
    Forgetting.objects.filter(pk=row.pk).update(position={**row.position, forgetting.ALIVE: at.isoformat()})


def test_work_that_is_done_twice_at_once_is_recorded_once(box, olga, monkeypatch):
    plant(box)
    row = forget_ask(MAIL, NAME, olga)
    forget_count(row.pk, wiring=box.wiring)
    row.refresh_from_db()
    forget_confirm(row, olga)
    save, before = forgetting._save, []

    def slowly(*arguments):
        if not before:
            before.append(True)
            assert forget_carry_on(row.pk)
        save(*arguments)

    monkeypatch.setattr(forgetting, "_save", slowly)

    assert forget_carry_on(row.pk)

    row.refresh_from_db()
    assert (row.state, row.position, row.terms) == ("finished", {}, {})
    assert AuditEntry.objects.filter(action="forget a person: done").count() == 1 and where(*SPELLED) == []


def test_the_pages_count_first_and_blank_after_confirmation(client, box, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: getattr(jobs, path.rsplit(".", 1)[1])(*a))
    log_in(client, "admin")
    plant(box)

    refused = client.post("/forget/", {"who": "jane"}, follow=True).content.decode()
    shown = client.post("/forget/", {"who": MAIL, "also": NAME}, follow=True)
    row = Forgetting.objects.get()
    page = shown.content.decode()
    assert "Nothing was begun" in refused and MAIL in page and "Writes in the journal" in page and "Not touched: Workbooks" in page
    assert where(MAIL)
    done = client.post(f"/forget/{row.pk}/decide/", {"decision": "forget"}, follow=True).content.decode()

    assert "Finished" in done and "What was blanked" in done and MAIL not in done and where(*SPELLED) == []
    assert "a-admin" in client.get("/forget/").content.decode()
