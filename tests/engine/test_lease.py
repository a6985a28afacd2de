"""A lease by itself: one holder at a time by the database's clock, a token that only grows, and a holder that was away
finds out before it does anything (engine-rules 21)."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections
from django.utils import timezone

from reconciliation.engine.lease import LEASE_SECONDS, LeaseHeld, LeaseLost, held_until, take
from reconciliation.models import PassLease
from tests.sandboxed import Clock

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
NAME = "pass:organisations"


@pytest.fixture
def clock():
    return Clock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


@pytest.fixture
def hold(clock):
    """Takes the lease for a holder, by the test's clock."""
    return lambda holder="a:1", name=NAME: take(name, holder, db_now=clock, monotonic=clock.seconds)


def row(name=NAME):
    return PassLease.objects.get(name=name)


def is_held_by(lease):
    return PassLease.objects.filter(lease.is_ours(), name=lease.name).exists()


def test_a_lease_is_held_by_one_until_its_last_second_is_over(hold, clock):
    hold("a:1")
    clock.forward(LEASE_SECONDS - 1)
    with pytest.raises(LeaseHeld):
        hold("b:1")

    clock.forward(1)
    second = hold("b:1")

    assert (row().holder, second.token) == ("b:1", 2)


def test_the_token_grows_with_each_holder_also_after_a_release_and_for_the_same_one(hold):
    tokens = []
    for holder in ("a:1", "a:1", "b:1"):
        lease = hold(holder)
        tokens.append(lease.token)
        lease.release()

    assert tokens == [1, 2, 3]


def test_other_names_are_other_leases(hold):
    hold("a:1")

    assert hold("b:1", "channel:1:0").token == 1


def test_a_renewal_makes_it_good_for_another_full_time(hold, clock):
    lease = hold()
    clock.forward(LEASE_SECONDS - 1)

    lease.renew()

    assert row().expires_at == clock.at + timedelta(seconds=LEASE_SECONDS) and row().renewed_at == clock.at
    assert is_held_by(lease)


def test_a_lease_that_ran_out_is_lost_though_nobody_took_it(hold, clock):
    lease = hold()
    clock.forward(LEASE_SECONDS)

    assert not is_held_by(lease)
    with pytest.raises(LeaseLost):
        lease.renew()


@pytest.mark.parametrize("taker", ["b:1", "a:1"])
def test_a_holder_that_was_overtaken_renews_frees_and_claims_nothing_any_more(hold, clock, taker):
    """Also by one of the same name: a process that was started again has the number of the dead one."""
    old = hold("a:1")
    clock.forward(LEASE_SECONDS)
    new = hold(taker)

    with pytest.raises(LeaseLost):
        old.renew()
    old.release()

    assert (is_held_by(old), is_held_by(new)) == (False, True)
    assert (row().holder, row().token) == (taker, new.token)


def test_a_release_frees_it_at_once_and_no_other(hold):
    lease, other = hold("a:1"), hold("a:1", "channel:1:0")

    lease.release()

    assert not is_held_by(lease) and is_held_by(other)
    assert hold("b:1").token == 2


def test_a_step_that_fits_asks_nothing_and_one_that_does_not_renews_first(hold, clock, django_assert_num_queries):
    lease = hold()
    with django_assert_num_queries(0):
        lease.guard(30)  # of 90 seconds a third is kept in reserve
    clock.forward(30)
    with django_assert_num_queries(0):
        lease.guard(30)

    clock.forward(1)
    lease.guard(30)

    assert row().renewed_at == clock.at
    with django_assert_num_queries(0):
        lease.guard(60)
    clock.forward(LEASE_SECONDS)
    with pytest.raises(LeaseLost):
        lease.guard(1)


def test_a_step_is_measured_by_the_clock_that_goes_on_in_sleep(hold, clock):
    """The database's clock stands for the other hosts': it went on while this machine slept, and so did boottime."""
    lease = replace(hold(), monotonic=lambda: clock.seconds() + LEASE_SECONDS)
    before = row().renewed_at
    clock.forward(5)

    lease.guard(1)

    assert row().renewed_at > before


def test_the_process_channel_lives_as_long_as_the_run(hold, clock):
    lease, lease_of_channel = hold(), hold("a:1", "channel:1:0")
    lease.channel = lease_of_channel
    clock.forward(60)

    lease.renew()

    assert row("channel:1:0").expires_at == row().expires_at == clock.at + timedelta(seconds=LEASE_SECONDS)


def test_until_when_a_lease_is_held_is_said_by_the_databases_clock():
    assert held_until(NAME) is None
    lease = take(NAME, "a:1")
    assert timedelta(seconds=60) < held_until(NAME) - timezone.now() <= timedelta(seconds=LEASE_SECONDS + 1)

    PassLease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert held_until(NAME) is None
    lease.release()
    assert held_until(NAME) is None


@pytest.mark.django_db(transaction=True)
def test_of_many_who_take_it_at_once_one_gets_it():
    barrier, won, refused, broken = threading.Barrier(6), [], [], []

    def one(number):
        barrier.wait()
        try:
            won.append(take(NAME, f"host:{number}").holder)
        except LeaseHeld:
            refused.append(number)
        except Exception as error:
            broken.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one, args=[n]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert broken == [] and len(won) == 1 and len(refused) == 5
    assert (row().holder, row().token) == (won[0], 1)
