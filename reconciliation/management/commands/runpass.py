"""`manage.py runpass NAME`: one run of a pass, now, in this process, under the same lease as the cluster."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from reconciliation.engine import mailbox_queue, worlds
from reconciliation.engine.context import Order
from reconciliation.engine.lease import LeaseHeld
from reconciliation.engine.runner import run_pass
from reconciliation.models import Run, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.services.mailbox_runs import passes_due, sum_of
from reconciliation.services.switch_on import SwitchRefused, pass_switch_on, preview_waive

GOOD = (Run.State.FINISHED, Run.State.PARTIAL, Run.State.HELD)


class Command(BaseCommand):
    help = "Runs a pass once and prints its ledger. Exit 0 finished, partial or held; 1 interrupted or failed; 2 usage; 3 lease held."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="organisations, prospects, accounts, contacts, events, tasks, emails or outreach-activities")
        parser.add_argument(
            "--mailbox",
            metavar="ADDRESS",
            default="",
            help="of a pass over mailboxes: this one only; SYSTEM:ADDRESS where two systems have it",
        )
        parser.add_argument("--dry-run", action="store_true", help="plan without writing; the stored preview's run id is printed")
        parser.add_argument("--apply", type=int, metavar="RUN", help="carry out exactly the plan of this preview")
        parser.add_argument("--full", action="store_true", help="compare all rows that meet conditions 1 to 3")
        parser.add_argument("--budget", type=float, metavar="S", help="stop after S seconds; the next run goes on")
        parser.add_argument("--approve-first", action="store_true", help="switch a pass on that was never on, without its first preview")
        parser.add_argument("--json", action="store_true", help="print the ledger as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").filter(name=options["name"]).first()
        if sync_pass is None:
            names = ", ".join(SyncPass.objects.whole().order_by("pk").values_list("name", flat=True))
            there = f"There is: {names}." if names else "Connect a system first, e.g. with `manage.py connect_sandbox`."
            self._refuse(f"There is no pass {options['name']!r}. {there}")
        if options["mailbox"] and sync_pass.name not in MAILBOX_PASSES:
            self._refuse(f"--mailbox is for passes over mailboxes; {sync_pass.name!r} is none.")
        if options["budget"] is not None and options["budget"] <= 0:
            self._refuse("--budget takes a number of seconds above 0.")
        if options["dry_run"] and options["apply"]:
            self._refuse("Use --dry-run or --apply, not both.")
        if sync_pass.name in MAILBOX_PASSES:
            self._over_mailboxes(sync_pass, options)
            return
        if options["apply"] is not None and not Run.objects.filter(pk=options["apply"], sync_pass=sync_pass).exists():
            self._refuse(f"There is no run {options['apply']} of this pass to apply.")
        if worlds.check(sync_pass):
            self.stderr.write("The sandbox is another world; what was learnt of the earlier one was forgotten.")
        if options["approve_first"]:
            self._approve_first(sync_pass)
            sync_pass.refresh_from_db()
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

    def _over_mailboxes(self, parent: SyncPass, options: dict[str, Any]) -> None:
        """Runs the pass over each mailbox; one that cannot be reached stops no other."""
        kind = Run.Kind.PREVIEW if options["dry_run"] else Run.Kind.APPLY if options["apply"] else Run.Kind.MANUAL
        if options["apply"] and not options["mailbox"]:
            self._refuse("--apply is for one mailbox; name it with --mailbox.")
        order = Order(kind, options["full"], options["budget"], "command line", options["apply"])
        ledgers, is_good, is_held = [], True, False
        mailbox_queue.follow_all(parent, timezone.now())  # what people set of the pass since the last tick holds for each
        try:
            passes = list(passes_due(parent, options["mailbox"]))
        except LookupError as error:
            self._refuse(str(error.args[0]))
        if not passes:
            self._refuse("No mailbox has this pass switched on; name one with --mailbox, or switch it on in its settings.")
        if options["apply"] and not Run.objects.filter(pk=options["apply"], sync_pass=passes[0]).exists():
            self._refuse(f"There is no run {options['apply']} of this mailbox to apply.")
        for sync_pass in passes:
            if options["approve_first"]:
                self._approve_first(sync_pass)
            address = sync_pass.mailbox.address
            try:
                run = run_pass(sync_pass, order)
            except LeaseHeld:
                self.stderr.write(f"{address}: another run is under way.")
                is_held = True
                continue
            ledgers.append({"mailbox": address, **run.as_dict()})
            is_good = is_good and run.state in GOOD
            if not options["json"]:
                self.stdout.write(f"{address}:")
                self._show(run, as_json=False)
        if options["json"]:
            self.stdout.write(json.dumps({"mailboxes": ledgers, "sum": sum_of(ledgers)}))
        elif len(ledgers) > 1:
            self.stdout.write(
                f"All {len(ledgers)} mailboxes: " + ", ".join(f"{n} {k}" for k, n in sum_of(ledgers).items() if isinstance(n, int))
            )
        if not is_good or is_held:
            raise SystemExit(3 if is_good else 1)

    def _refuse(self, sentence: str) -> None:
        self.stderr.write(sentence)
        raise SystemExit(2)

    def _approve_first(self, sync_pass: SyncPass) -> None:
        try:
            preview_waive(sync_pass)
            pass_switch_on(sync_pass, None)
        except SwitchRefused as refusal:
            self._refuse(str(refusal))

    def _show(self, run: Run, *, as_json: bool) -> None:
        ledger = run.as_dict()
        if as_json:
            self.stdout.write(json.dumps(ledger))
            return
        self.stdout.write(f"Run {ledger['run']}: {ledger['state']} in {ledger['seconds']} s. {run.note}".rstrip())
        for name in ("seen", "created", "updated", "unchanged", "excluded", "duplicates", "failed", "held", "related", "calls"):
            value = ledger[name]
            if isinstance(value, dict):
                value = ", ".join(f"{n} {key.replace('_', ' ')}" for key, n in value.items()) or 0
            self.stdout.write(f"  {name}: {value}")
