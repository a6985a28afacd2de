"""`manage.py import_settings FILE`: shows what a settings file would change here; stores it with --apply only."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from reconciliation.services.transfer import MOST_BYTES, ImportPlan, TransferRefused, import_plan, settings_import


class Command(BaseCommand):
    help = "Shows what a settings file would change on this site. Exit 0 shown or stored; 2 refused, nothing stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--apply", action="store_true", help="store what is shown")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with Path(options["file"]).open("rb") as file:
                text = file.read(MOST_BYTES + 1)
            plan = import_plan(text)
            self._show(plan)
            if not options["apply"]:
                self.stdout.write("Nothing was stored; add --apply to store it." if plan.changed else "Nothing would change.")
                return
            settings_import(text, stamp=plan.stamp)
        except OSError as error:
            self._refuse(f"{options['file']} could not be read: {error.strerror}.")
        except TransferRefused as refusal:
            self._refuse(f"Nothing was stored. {refusal}")
        self.stdout.write("Stored.")

    def _show(self, plan: ImportPlan) -> None:
        for part in plan.changed:
            self.stdout.write(part.title)
            for line in part.lines:
                self.stdout.write(f"  {line.name}: {line.before} → {line.after}")
            for row in part.rows:
                self.stdout.write(f"  {row.sentence}")
        for sentence in plan.left_out:
            self.stdout.write(f"Left out: {sentence}")

    def _refuse(self, sentence: str) -> None:
        self.stderr.write(sentence)
        raise SystemExit(2) from None
