"""Tokens of connections: kept alive daily, renewed by one process at a time, stored before use, and lost with one sentence."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection as database
from django.utils import timezone

from connectors.errors import NeedsAttention, RateLimited
from connectors.oauth import App, Tokens, TokenSource
from connectors.outreach.connector import OutreachConnector
from reconciliation import jobs
from reconciliation.apps import SCHEDULES
from reconciliation.engine.connections import ConnectionTokens
from reconciliation.models import Case, Connection
from reconciliation.selectors import near_expiries
from reconciliation.services.tokens import tokens_keep_alive
from tests.boxes import boxes
from tests.sandboxed import ERROR, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
TOKEN_CALL = "POST /oauth/token"


def peer():
    return Connection.objects.get(system="outreach")


def source(box):
    row = peer()
    app = App(row.secrets["client_id"], row.secrets["client_secret"])
    return TokenSource(ConnectionTokens(row.pk, box.clock), app, box.wiring.open_http(row))


@pytest.fixture
def box():
    return make()


@pytest.mark.parametrize("state", [{"is_paused": True}, {"is_on": False}])
def test_the_token_of_a_connection_that_no_pass_uses_is_renewed_daily(box, state):
    type(box.sync_pass).objects.update(**state)
    old = peer().secrets["refresh_token"]

    assert tokens_keep_alive(box.wiring) == {"Outreach (sandbox)": "renewed"}
    new = peer()
    assert new.secrets["refresh_token"] not in ("", old) and timezone.now() - new.refresh_used_at < timedelta(minutes=1)
    assert tokens_keep_alive(box.wiring) == {}  # not twice a day

    Connection.objects.filter(pk=new.pk).update(refresh_used_at=timezone.now() - timedelta(hours=21))
    assert tokens_keep_alive(box.wiring) == {"Outreach (sandbox)": "renewed"}
    assert box.run().state == "finished"  # and the pass goes on with it
    assert ("Renew access tokens", "reconciliation.jobs.renew_tokens", (), 360) in SCHEDULES


def test_a_run_uses_the_refresh_token_too_and_spares_the_daily_renewal(box):
    box.world.outreach.expire_tokens()

    box.organisation("New")
    assert box.run().created == 1

    box.world.forget_calls()
    assert tokens_keep_alive(box.wiring) == {} and TOKEN_CALL not in box.calls()


def test_a_dead_refresh_token_is_said_on_the_connection_and_trouble_on_the_way_is_not(box, monkeypatch):
    box.world.faults.add({"kind": "status", "status": 503, "system": "outreach"})
    tokens_keep_alive(box.wiring)
    assert peer().state != "needs_attention"

    box.world.faults.clear()
    Connection.objects.update(renewal_begun_at=None)
    box.world.outreach.desk.refresh.clear()
    monkeypatch.setattr("reconciliation.jobs.tokens_keep_alive", lambda: tokens_keep_alive(box.wiring))
    assert "refused to renew our access (invalid_grant); reconnect it" in jobs.renew_tokens()

    assert peer().state == "needs_attention" and "reconnect it" in peer().last_error


def test_a_connection_that_was_connected_anew_meanwhile_needs_nobody(box, monkeypatch):
    now = timezone.now()

    def too_late(connector):
        Connection.objects.filter(pk=box.sync_pass.peer_id).update(connected_at=now, state=Connection.State.OK)
        raise NeedsAttention("refused the refresh token", system="outreach")

    Connection.objects.update(refresh_used_at=None)
    monkeypatch.setattr(OutreachConnector, "keep_alive", too_late)

    tokens_keep_alive(box.wiring)

    assert Connection.objects.get(pk=box.sync_pass.peer_id).state == Connection.State.OK


def test_a_connection_that_was_never_connected_is_left_alone(box):
    Connection.objects.filter(system="outreach").update(secrets={"client_id": "x", "client_secret": "y"})

    assert tokens_keep_alive(box.wiring) == {}


def test_a_renewed_token_is_stored_before_it_is_used(box):
    stored = []
    handle = box.world.outreach.handle

    def watch(request):
        if request.path != "/oauth/token":
            stored.append(f"Bearer {peer().secrets['access_token']}" == request.headers["authorization"])
        return handle(request)

    box.world.outreach.expire_tokens()
    box.world.outreach.handle = watch
    box.organisation("New")
    box.run()

    assert stored[0] and stored[1:] and all(stored[1:]) and box.world.counts["outreach"][TOKEN_CALL] == 1


def test_while_another_process_renews_nobody_else_does(box):
    box.world.outreach.desk.strict_rotation = True
    first, second = source(box), source(box)

    with ConnectionTokens(peer().pk, box.clock).lock() as is_ours:
        assert is_ours
        with pytest.raises(RateLimited):
            second.keep_alive()
    first.keep_alive()
    second.keep_alive()  # finds what the first has stored

    assert second.token() == first.token() == peer().secrets["access_token"]
    assert box.calls()[TOKEN_CALL] == 1


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_renewal(box):
    box.world.outreach.desk.strict_rotation = True
    sources, tokens = [source(box) for _ in range(4)], []

    def renew(one):
        for _ in range(1000):
            try:
                one.keep_alive()
                tokens.append(one.token())
                break
            except RateLimited:
                time.sleep(0.02)
        database.close()

    threads = [threading.Thread(target=renew, args=[one]) for one in sources]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert len(tokens) == 4 and len(set(tokens)) == 1 and box.calls()[TOKEN_CALL] == 1


class Died(BaseException):
    """The process is gone."""


def dies_before_it_stores(monkeypatch):
    def save(self, tokens):
        raise Died

    monkeypatch.setattr(ConnectionTokens, "save", save)


def test_a_token_lost_in_between_is_one_clear_sentence_and_flags_nobody(box, monkeypatch):
    """Strict rotation: the old token died with the renewal whose answer was never stored."""
    box.world.outreach.desk.strict_rotation = True
    box.world.outreach.expire_tokens()
    id_ = box.organisation("Patient")
    with monkeypatch.context() as patch:
        dies_before_it_stores(patch)
        with pytest.raises(Died):
            source(box).keep_alive()
    Connection.objects.update(token_lock_until=None)

    states = {box.run().state for _ in range(3)}

    said = "Outreach: has replaced our access, and the new token was lost on its way to us; reconnect it"
    assert states == {"interrupted"} and (peer().state, peer().last_error) == ("needs_attention", said)
    assert not Case.objects.exists() and box.show(id_)[ERROR] is False


def test_a_token_lost_in_between_is_no_loss_where_the_old_one_still_works(box, monkeypatch):
    box.world.outreach.expire_tokens()
    box.organisation("Patient")
    with monkeypatch.context() as patch:
        dies_before_it_stores(patch)
        with pytest.raises(Died):
            source(box).keep_alive()
    Connection.objects.update(token_lock_until=None)

    assert box.run().created == 1

    row = peer()
    assert row.renewal_begun_at is None and row.state != "needs_attention"


def test_a_refresher_does_not_overwrite_what_somebody_connected_with_meanwhile(box):
    store = ConnectionTokens(peer().pk, box.clock)
    store.load()
    row = peer()
    Connection.objects.filter(pk=row.pk).update(secrets={**row.secrets, "access_token": "fresh", "refresh_token": "of the new consent"})

    store.save(Tokens("late", "of the old consent", datetime(2999, 1, 1, tzinfo=UTC)))

    assert peer().secrets["refresh_token"] == "of the new consent"


def test_without_tokens_a_run_says_to_connect(box):
    Connection.objects.filter(system="outreach").update(secrets={"client_id": "x", "client_secret": "y"})
    box.organisation("New")

    assert box.run().state == "interrupted"

    assert peer().last_error == "Outreach: is not connected yet; press Connect"
    with pytest.raises(NeedsAttention):
        source(box).token()


# --- expiry dates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "said"),
    [(31, None), (30, "ends in 30 days"), (1, "ends tomorrow"), (0, "ends today"), (-1, "has ended")],
)
def test_a_secrets_end_is_warned_of_from_thirty_days_before(box, days, said):
    Connection.objects.filter(system="outreach").update(secret_expires_on=timezone.now().date() + timedelta(days=days))

    warnings = [e.sentence for e in near_expiries(Connection.objects.all())]

    assert (said is None and not warnings) or (said in warnings[0] and "client secret" in warnings[0])


@pytest.mark.parametrize(("unused_days", "is_near"), [(1, False), (3, False), (5, True), (15, True)])
def test_a_refresh_tokens_end_follows_from_its_last_use_and_is_warned_of_when_renewals_fail(box, unused_days, is_near):
    Connection.objects.filter(system="outreach").update(refresh_used_at=timezone.now() - timedelta(days=unused_days))

    (expiry,) = peer().expiries(timezone.now())

    assert expiry.on == (timezone.now() + timedelta(days=14 - unused_days)).date() and expiry.is_near is is_near


@pytest.mark.parametrize("system", ["microsoft", "google"])
def test_tokens_end_by_the_clock_of_the_wiring_and_are_renewed_before_they_are_refused(system):
    box = boxes(system)
    box.set(contacts=True)
    box.run()
    token = asked_for_tokens(box)

    box.run(forward=600)
    within = asked_for_tokens(box)
    box.run(forward=3600)
    after = asked_for_tokens(box)

    assert token >= 1 and within == 0 and after >= 1
    assert not [call for call in box.world.calls if call["system"] == system and call["status"] == 401]


def asked_for_tokens(box):
    counts = box.world.counts[box.system]
    made = sum(n for key, n in counts.items() if "token" in key and "syncToken" not in key)
    box.world.counts[box.system].clear()
    return made
