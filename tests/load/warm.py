"""Runs quiet passes in one process and prints the median CPU milliseconds of one: what a worker spends a minute."""

from __future__ import annotations

import json
import statistics
import sys
import time

import django


def main(rounds: int) -> None:
    from reconciliation.engine.context import Order
    from reconciliation.engine.runner import run_pass
    from reconciliation.models import SyncPass

    sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get(name="organisations")
    spent = []
    for _ in range(rounds):
        before = time.process_time()
        run = run_pass(sync_pass, Order())
        spent.append(1000 * (time.process_time() - before))
        assert (run.state, run.seen) == ("finished", 0), run.as_dict()
    print(json.dumps(round(statistics.median(spent), 2)))


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]))
