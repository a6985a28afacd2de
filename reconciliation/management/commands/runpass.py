"""`manage.py runpass NAME`: one run of a pass, now, in this process, under the same lease as the cluster."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from reconciliation.engine import worlds
from reconciliation.engine.lease import LeaseHeld
from reconciliation.engine.runner import Order, run_pass
from reconciliation.models import Run, SyncPass

GOOD = (Run.State.FINISHED, Run.State.PARTIAL, Run.State.HELD)


class Command(BaseCommand):
    help = "Runs a pass once and prints its ledger. Exit 0 finished, partial or held; 1 interrupted or failed; 2 usage; 3 lease held."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="organisations")
        parser.add_argument("--dry-run", action="store_true", help="plan without writing; the stored preview's run id is printed")
        parser.add_argument("--apply", type=int, metavar="RUN", help="carry out exactly the plan of this preview")
        parser.add_argument("--full", action="store_true", help="compare all rows that meet conditions 1 to 3")
        parser.add_argument("--budget", type=float, metavar="S", help="stop after S seconds; the next run goes on")
        parser.add_argument("--json", action="store_true", help="print the ledger as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").filter(name=options["name"]).first()
        if sync_pass is None:
            self.stderr.write(f"There is no pass {options['name']!r}. Connect a system first, e.g. with `manage.py connect_sandbox`.")
            raise SystemExit(2)
        if worlds.check(sync_pass):
            self.stderr.write("The sandbox is another world; what was learnt of the earlier one was forgotten.")
        if options["dry_run"] and options["apply"]:
            self.stderr.write("Use --dry-run or --apply, not both.")
            raise SystemExit(2)
        kind = Run.Kind.PREVIEW if options["dry_run"] else Run.Kind.APPLY if options["apply"] else Run.Kind.MANUAL
        order = Order(kind, options["full"], options["budget"], "command line", options["apply"])
        try:
            run = run_pass(sync_pass, order)
        except LeaseHeld:
            self.stderr.write("Another run of this pass is under way; try again when it has ended.")
            raise SystemExit(3) from None
        self._show(run, as_json=options["json"])
        if run.state not in GOOD:
            raise SystemExit(1)

    def _show(self, run: Run, *, as_json: bool) -> None:
        ledger = run.as_dict()
        if as_json:
            self.stdout.write(json.dumps(ledger))
            return
        self.stdout.write(f"Run {ledger['run']}: {ledger['state']} in {ledger['seconds']} s. {run.note}".rstrip())
        for name in ("seen", "created", "updated", "unchanged", "excluded", "duplicates", "failed", "held", "related", "calls"):
            self.stdout.write(f"  {name}: {ledger[name]}")
