"""`manage.py rotate_keys`: after a new key was put in front of FIELD_KEYS, writes every stored secret with it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from reconciliation.services.keys import keys_rotate


class Command(BaseCommand):
    help = "Writes every stored secret anew with the first key of FIELD_KEYS; run it again as often as you like"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exit 1 while an older key is still needed")

    def handle(self, *args: Any, **options: Any) -> None:
        check_only = options["check"]
        done = keys_rotate(check_only=check_only)
        for name in done.unreadable:
            self.stderr.write(f"No key of FIELD_KEYS reads {name}; put the key it was written with back, or enter its secrets anew.")
        if check_only:
            self.stdout.write(f"{done.rewritten} to rewrite, {done.current} written with the first key already.")
        else:
            self.stdout.write(f"{done.rewritten} rewritten with the first key, {done.current} were already.")
        if done.unreadable or (check_only and done.rewritten):
            raise SystemExit(1)
        self.stdout.write("The older keys of FIELD_KEYS are not needed any more; backups made before this still need them.")
