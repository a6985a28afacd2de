"""`manage.py remap <prospect id> <Lead|Contact> <object id>`: lets one prospect belong to another record of Salesforce."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from connectors.errors import ConnectorError
from reconciliation.core.counting import counted
from reconciliation.core.matching import Active
from reconciliation.engine.lease import LeaseLost
from reconciliation.engine.staff import Busy
from reconciliation.engine.stop import WritesStopped
from reconciliation.models import SyncPass
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.matches import find_matches, prospects_pass
from reconciliation.services.pull import Choice, pull, pull_plan
from reconciliation.services.remap import remap, remap_plan
from reconciliation.templatetags.sync import shown

TYPES = {"lead": "Lead", "contact": "Contact"}
FORCE = Choice(is_forced=True)


class Command(BaseCommand):
    help = (
        "Remaps a prospect to a lead or contact. Exit 0 done (or nothing to do); 1 refused, nothing was done; 2 usage or no "
        "connection; 3 the pass is at work; 4 a system did not answer."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prospect", metavar="PROSPECT", help="its id in Outreach")
        parser.add_argument("object_type", metavar="Lead|Contact")
        parser.add_argument("object_id", metavar="OBJECT", help="the id of the lead or contact, 15 or 18 characters")
        parser.add_argument("--move-link", action="store_true", help="take the record over from the prospect that it is linked to")
        parser.add_argument("--force-update", action="store_true", help="then take every mapped field over from the record")
        parser.add_argument("--dry-run", action="store_true", help="print what would be written, write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        prospect, crm_type = str(options["prospect"]).strip(), TYPES.get(str(options["object_type"]).casefold(), "")
        if not (prospect.isascii() and prospect.isdigit()):
            self._end(2, f"{prospect[:60]!r} is no id of a prospect; it is a number.")
        if not crm_type:
            self._end(2, f"{str(options['object_type'])[:40]!r} is neither Lead nor Contact.")
        try:
            sync_pass = prospects_pass()
        except DecisionRefused as refusal:
            self._end(2, str(refusal))
        try:
            self._carry_out(sync_pass, prospect, crm_type, str(options["object_id"]).strip(), options)
        except DecisionRefused as refusal:
            self._end(1, str(refusal))
        except WritesStopped as refusal:
            self._end(1, str(refusal))
        except (Busy, LeaseLost):
            self._end(3, "The pass is at work just now. Nothing was done; try again in a moment.")
        except ConnectorError as error:
            self._end(4, f"{error.sentence}. {error.remedy}".rstrip(" ."))

    def _carry_out(self, sync_pass: SyncPass, prospect: str, crm_type: str, given: str, options: dict[str, Any]) -> None:
        matches = find_matches(sync_pass, prospect)
        if matches.trouble:
            raise DecisionRefused(f"{matches.trouble}. Nothing was done.")
        known = (it.id for it in matches.candidates if it.type == crm_type and it.id[:15] == given[:15])
        crm_id = next(known, given)
        plan = remap_plan(matches, crm_type, crm_id)
        self.stdout.write(f"Prospect {prospect} {matches.name}: {_said(matches.active)}")
        is_there = matches.binding is not None and (matches.binding.crm_type, matches.binding.crm_id) == (crm_type, crm_id)
        if is_there:
            self.stdout.write(f"It belongs to {crm_type} {crm_id} already.")
        elif plan.refusal:
            raise DecisionRefused(f"{plan.refusal} Nothing was done.")
        else:
            for write in plan.writes:
                self.stdout.write(f"  {write.system}, {write.record}: {write.field} becomes {write.value}")
        if plan.needs_move and not options["move_link"] and not options["dry_run"]:
            raise DecisionRefused("Another prospect holds this record; add --move-link to take it over. Nothing was done.")
        if options["dry_run"]:
            self._dry_run(sync_pass, prospect, is_there=is_there, is_forced=options["force_update"])
            return
        if not is_there:
            done = remap(prospect, crm_type, crm_id, move_link=options["move_link"], by=None, stamp=plan.stamp)
            fields = "mapped field differs" if done.differing == 1 else "mapped fields differ"
            self.stdout.write(f"Remapped in run {done.run_id}; {done.differing} {fields}.")
        if options["force_update"]:
            pulled = pull(sync_pass, prospect, FORCE, by=None)
            written = f"{', '.join(pulled.fields)} in run {pulled.run_id}" if pulled.fields else "nothing; every mapped field agrees"
            self.stdout.write(f"Force update wrote {written}. Tasks and sequences stay active.")

    def _dry_run(self, sync_pass: SyncPass, prospect: str, *, is_there: bool, is_forced: bool) -> None:
        if is_forced and is_there:
            for line in pull_plan(sync_pass, prospect, FORCE).writes:
                self.stdout.write(f"  {line.name}: {shown(line.peer)} becomes {shown(line.becomes)}")
        elif is_forced:
            self.stdout.write("  then every mapped field that differs is taken over from it")
        self.stdout.write("Nothing was written: this was a dry run.")

    def _end(self, code: int, sentence: str) -> None:
        self.stderr.write(sentence)
        raise SystemExit(code)


def _said(active: Active) -> str:
    tasks = "unknown active tasks" if active.tasks is None else counted(active.tasks, "active task")
    sequences = "unknown active sequences" if active.sequences is None else counted(active.sequences, "active sequence")
    return f"{tasks}, {sequences}."
