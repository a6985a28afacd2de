"""What is refused, or fails remotely, is told on the page before; it is never a server error."""

import pytest

from reconciliation.engine import lease
from reconciliation.engine.lease import LeaseLost
from reconciliation.models import Difference, Operation, RunEvent
from tests.admin.test_pages import address, log_in, world

pytestmark = pytest.mark.django_db
__all__ = ["world"]


@pytest.fixture
def admin(client, world):
    return log_in(client, "admin")


def to_force():
    return {"key": f"{Difference.objects.get().pk}|0", "reason": "x"}


def to_undo():
    return f"/runs/{RunEvent.objects.filter(outcome='created').latest('pk').run_id}/undo/"


@pytest.fixture
def written(world, admin):
    """A run that wrote one thing."""
    world.organisation("Fresh")
    return world.run()


def actions(run):
    """Returns (address, form, where its refusal is told) of what writes without being a queue's decision."""
    undo = f"/runs/{run.pk}/undo/"
    return [("/differences/force/", to_force(), "/differences/"), (undo, {"reason": "x"}, f"/runs/{run.pk}/")]


def test_force_and_undo_while_writes_are_stopped_are_told_why(client, written):
    client.post("/writes/stop/", {"reason": "wrong prices"})
    before = Operation.objects.count()

    for where, form, back in actions(written):
        answer = client.post(where, form, follow=True)
        assert answer.redirect_chain == [(back, 302)], where
        assert "wrong prices. Nothing was written." in answer.content.decode(), where

    assert Operation.objects.count() == before


def test_force_and_undo_while_the_pass_is_at_work_are_told_so(client, written, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.staff.WAIT_SECONDS", 0)
    lease.take("pass:organisations", "somebody else")

    for where, form, back in actions(written):
        answer = client.post(where, form, follow=True)
        assert answer.redirect_chain == [(back, 302)], where
        assert "The pass is writing just now. Nothing was done" in answer.content.decode(), where


def test_a_lease_that_is_lost_on_the_way_is_told_so(client, written, monkeypatch):
    def lost(*arguments):
        raise LeaseLost("pass:organisations")

    monkeypatch.setattr("reconciliation.engine.staff._wait_for_lease", lost)

    for where, form, back in actions(written):
        assert client.post(where, form, follow=True).redirect_chain == [(back, 302)], where


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_system_that_does_not_answer_is_told(client, world, written, method):
    where = actions(written)
    world.world.faults.add({"kind": "status", "status": 503, "times": 100})

    for place, form, back in where:
        form = {"row": Difference.objects.get().pk} if method == "get" and "force" in place else form
        answer = getattr(client, method)(place, form, follow=True)
        assert answer.redirect_chain == [(back, 302)], place
        assert 'class="error"' in answer.content.decode(), place


def test_a_decision_is_told_on_the_page_it_came_from_and_on_no_foreign_one(client, written):
    client.post("/writes/stop/", {"reason": "x"})

    for back, ends in (("/errors/?page=2", "/errors/?page=2"), ("https://evil.example/", "/"), ("//evil.example/", "/")):
        answer = client.post(address("duplicate_decide"), {"decision": "stop", "back": back})
        assert answer.headers["Location"] == ends
