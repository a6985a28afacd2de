"""S0.6 at size: ten thousand organisations at once, with time budgets of a few seconds."""

import time
from dataclasses import replace

import pytest

from tests.sandboxed import PEER_ID, make

pytestmark = pytest.mark.django_db


@pytest.mark.slow
def test_ten_thousand_organisations_arrive_over_several_runs_none_twice_none_skipped():
    box = make("bench:10000")
    box.wiring = replace(box.wiring, monotonic=time.monotonic)  # budgets are real seconds here
    organisations = box.world.workbooks.tables["organisations"].rows
    backlog = []
    for _ in range(60):
        box.clock.forward(60)
        run = box.run(budget=5, forward=0)
        backlog.append(sum(1 for row in organisations.values() if not row.get(PEER_ID)))
        if run.state == "finished":
            break

    keys = [account["customId"] for account in box.accounts()]
    assert len(keys) == len(set(keys)) == 10_000
    assert backlog == sorted(backlog, reverse=True) and backlog[-1] == 0 and len(backlog) > 1
    assert all(row[PEER_ID] for row in organisations.values())
