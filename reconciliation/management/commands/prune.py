"""`manage.py prune`: removes history that is older than the settings of *Data kept* allow."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from reconciliation.services.retention import prune


class Command(BaseCommand):
    help = "Removes writes, decisions, events and runs that are older than the settings allow. Runs daily by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--budget", type=float, default=3600.0, metavar="S", help="stop after S seconds; the next round goes on")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["budget"] <= 0:
            self.stderr.write("--budget takes a number of seconds above 0.")
            raise SystemExit(2)
        self.stdout.write(prune(budget_seconds=options["budget"]).sentence)
