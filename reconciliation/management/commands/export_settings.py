"""`manage.py export_settings`: mappings, schedules, brakes, columns, roles and retention as one JSON text, without secrets."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from reconciliation.services.audit import audit
from reconciliation.services.transfer import export_text


class Command(BaseCommand):
    help = "Prints what is set on this site (no secrets, no addresses) for `import_settings` on another one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", metavar="FILE", help="write to this file instead of printing")

    def handle(self, *args: Any, **options: Any) -> None:
        text = export_text()
        audit(None, "export settings", "Settings")
        if not options["output"]:
            self.stdout.write(text, ending="")
            return
        try:
            Path(options["output"]).write_text(text, encoding="utf-8")
        except OSError as error:
            self.stderr.write(f"{options['output']} could not be written: {error.strerror}.")
            raise SystemExit(2) from None
        self.stdout.write(f"Written to {options['output']}.")
