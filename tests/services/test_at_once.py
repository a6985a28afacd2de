"""Two admins at the same moment, on two connections to the database: what one stores is not undone by the other, and what
there must be one of is not made twice."""

import threading
from dataclasses import replace

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from reconciliation.models import ChatHook, Connection, MappingTable, SecondFactor, SyncPass
from reconciliation.services.alerts import Wanted, chat_hook, chat_hook_save
from reconciliation.services.connections import ConnectionRefused, connection_add, connection_save
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.fields import FieldsRefused, fields_choose, fields_read
from reconciliation.services.schedule import schedule_of, schedule_set
from reconciliation.services.second_factor import second_factor_start
from reconciliation.services.switch_on import pilot_start
from reconciliation.store import organisation_columns
from tests.sandboxed import make
from tests.services.test_connecting import outreach, workbooks
from tests.services.test_fields import Column, columns_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
WAIT_SECONDS = 0.5  # whoever does not wait for the other is through by then


def at_once(first, second):
    """Lets `second` begin, on a connection of its own, when `first` has changed its rows and not committed yet. Returns
    what `second` raised."""
    raised = []

    def carry_out():
        try:
            second()
        except Exception as error:
            raised.append(error)
        finally:
            connection.close()

    other = threading.Thread(target=carry_out)
    with transaction.atomic():
        first()
        other.start()
        other.join(WAIT_SECONDS)
        assert other.is_alive(), raised or "it did not wait"
    other.join(30)
    assert not other.is_alive()
    return raised[0] if raised else None


@pytest.fixture
def box():
    box = make()
    columns_of(box, "organisations")["cf_other"] = Column("cf_other", "Another tick", "boolean")
    fields_read(box.sync_pass, wiring=box.wiring)
    return box


@pytest.fixture
def ada():
    return User.objects.create_superuser("ada")


def again(box):
    """Returns the pass as another process has read it."""
    return SyncPass.objects.select_related("crm", "peer", "mapping").get(pk=box.sync_pass.pk)


@pytest.mark.parametrize("schedule_first", [True, False])
def test_thresholds_and_columns_stand_in_one_place_and_both_stay(box, schedule_first):
    one, other = again(box), again(box)
    acts = [
        lambda: schedule_set(one, replace(schedule_of(one), blanking_count=7, interval_seconds=300)),
        lambda: fields_choose(other, {("organisation", "sync"): "cf_other"}),
    ]

    assert at_once(*(acts if schedule_first else reversed(acts))) is None

    stored = again(box)
    assert (schedule_of(stored).blanking_count, schedule_of(stored).interval_seconds) == (7, 300)
    assert organisation_columns(stored).sync == "cf_other"


def test_one_column_is_not_chosen_for_two_fields(box):
    one, other = again(box), again(box)

    raised = at_once(
        lambda: fields_choose(one, {("organisation", "sync"): "cf_other"}),
        lambda: fields_choose(other, {("organisation", "duplicate"): "cf_other"}),
    )

    assert isinstance(raised, FieldsRefused) and "cannot stand for two fields" in str(raised)
    assert organisation_columns(again(box)).duplicate != "cf_other"


def test_the_size_of_a_batch_leaves_the_organisations_that_somebody_picked(box, ada, monkeypatch):
    monkeypatch.setattr("reconciliation.services.switch_on.gate.preview_wanted", lambda sync_pass: "")
    SyncPass.objects.update(is_on=False)
    stale = again(box)
    picked = [{"id": "1", "name": "Acme"}]

    assert at_once(lambda: SyncPass.objects.update(pilot={"organisations": picked}), lambda: pilot_start(stale, ada, most_new=9)) is None

    assert again(box).pilot == {"organisations": picked, "batch": 9}


@pytest.fixture
def nothing_connected(box):
    SyncPass.objects.all().delete()
    Connection.objects.all().delete()
    MappingTable.objects.all().delete()


def test_there_is_one_connection_of_a_system_whoever_adds_it(box, nothing_connected, ada):
    raised = at_once(
        lambda: connection_add("workbooks", workbooks(box), ada),
        lambda: connection_add("workbooks", workbooks(box, name="Another"), ada),
    )

    assert isinstance(raised, ConnectionRefused) and "already" in str(raised)
    assert Connection.objects.get().name == "Workbooks"


def test_two_connections_are_not_given_one_name(box, nothing_connected, ada):
    crm = connection_add("workbooks", workbooks(box), ada)

    raised = at_once(
        lambda: connection_add("outreach", outreach(box, name="Both"), ada),
        lambda: connection_save(crm, workbooks(box, name="Both"), ada),
    )

    assert isinstance(raised, ConnectionRefused) and "Another connection has this name" in str(raised)


@pytest.mark.parametrize("is_new", [True, False])
def test_the_secret_of_the_chat_is_not_put_back_by_who_only_changes_its_kinds(ada, is_new, settings):
    settings.WEBHOOK_HOSTS = []
    new = {"address": "https://hooks.example.com/new", "secret": "the new secret of the chat", "is_on": True, "by": ada}
    if not is_new:
        old = {**new, "address": "https://old.example.com/x", "secret": "the old secret of the chat"}
        chat_hook_save(Wanted(("late",), 5), **old)

    raised = at_once(
        lambda: chat_hook_save(Wanted(("late",), 5), **new),
        lambda: chat_hook_save(Wanted((), 7), **{**new, "address": "", "secret": ""}),
    )

    assert raised is None and ChatHook.objects.count() == 1
    assert (chat_hook().host, chat_hook().secrets["secret"], chat_hook().queue_limit) == ("hooks.example.com", new["secret"], 7)


def test_a_second_factor_that_is_begun_twice_is_one(ada):
    assert at_once(lambda: second_factor_start(ada), lambda: second_factor_start(ada)) is None

    assert SecondFactor.objects.count() == 1


def test_a_second_factor_that_was_just_confirmed_is_not_replaced(ada):
    def confirmed():
        second_factor_start(ada)
        SecondFactor.objects.update(confirmed=True)

    assert isinstance(at_once(confirmed, lambda: second_factor_start(ada)), DecisionRefused)
