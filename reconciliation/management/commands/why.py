"""`manage.py why workbooks:organisation:226`: why this record did or did not sync."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from connectors.contract import Ref
from reconciliation.selectors import pass_named
from reconciliation.services.why import explain_organisation


class Command(BaseCommand):
    help = "Prints why one record did or did not sync, e.g. why workbooks:organisation:226"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ref")

    def handle(self, *args: Any, **options: Any) -> None:
        sync_pass = pass_named("organisations")
        if sync_pass is None:
            self._refuse("Nothing is connected yet; connect a system first, e.g. with `manage.py connect_sandbox`.")
        try:
            ref = Ref.parse(options["ref"])
        except ValueError:
            self._refuse(f"{options['ref']!r} is not a record; write it as workbooks:organisation:226.")
        if (ref.system, ref.object_type) != (sync_pass.crm.system, "organisation"):
            self._refuse(f"Only organisations can be explained so far; write it as {sync_pass.crm.system}:organisation:226.")
        found = explain_organisation(sync_pass, ref.id)
        self._show(found)
        if found.record is None:
            raise SystemExit(1)

    def _refuse(self, sentence: str) -> None:
        self.stderr.write(sentence)
        raise SystemExit(2)

    def _show(self, found: Any) -> None:
        name = found.record.fields.get("name") if found.record else ""
        self.stdout.write(f"{found.ref} {name or ''}".rstrip())
        self.stdout.write(found.sentence)
        for condition in found.conditions:
            self.stdout.write(
                f"  {condition.number}. {'yes' if condition.holds else 'NO '}  {condition.title} (is {condition.value or 'blank'})"
            )
        if found.binding:
            self.stdout.write(
                f"  linked to outreach:account:{found.binding.peer_id} since {found.binding.bound_at:%Y-%m-%d %H:%M} ({found.binding.how})"
            )
        for case in found.cases:
            self.stdout.write(f"  case {case.pk} {case.kind} {case.state}: {case.sentence}")
        for event in found.latest_events(5):
            self.stdout.write(f"  run {event.run_id}: {event.outcome} {event.reason} {event.sentence}".rstrip())
