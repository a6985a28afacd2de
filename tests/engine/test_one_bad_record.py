"""One record that always fails stops neither its neighbours nor the pass; after five runs it is its own error."""

import json
from dataclasses import replace

import pytest

from connectors.sandbox.wire import Response
from reconciliation.models import Case
from tests.sandboxed import ERROR, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box(monkeypatch):
    """Outreach fails with 500 whenever a document names the cursed company."""
    box = make()
    box.wiring = replace(box.wiring, workers=8)  # a wave of several, as in production
    handle = box.world.outreach.handle

    def cursed(request):
        if request.method in ("POST", "PATCH") and b"Cursed" in request.body:
            return Response(500, json.dumps({"errors": []}).encode(), template="/api/v2/accounts")
        return handle(request)

    monkeypatch.setattr(box.world.outreach, "handle", cursed)
    return box


def test_neighbours_go_through_and_the_bad_one_is_held_then_flagged(box):
    names = ["One", "Cursed", "Two", "Three"]
    ids = {name: box.organisation(name) for name in names}

    first = box.run()
    assert (first.state, first.created, first.held) == ("finished", 3, 1)
    states = []
    for n in range(12):
        box.organisation(f"Neighbour {n}")
        states.append(box.run(forward=90).as_dict())
        if box.show(ids["Cursed"])[ERROR]:
            break

    assert box.show(ids["Cursed"])[ERROR] is True
    assert "in 5 runs, while other organisations went through" in Case.objects.get(kind="error").sentence
    assert [(s["state"], s["created"]) for s in states] == [("finished", 1)] * 4  # five runs with the first
    assert not box.accounts("Cursed")
