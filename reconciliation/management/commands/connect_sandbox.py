"""`manage.py connect_sandbox`: connections, default mapping tables and passes for a running sandbox. Idempotent."""

from __future__ import annotations

from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

import requests
from django.conf import settings
from django.core.management.base import BaseCommand

from connectors.errors import ConnectorError
from reconciliation.models import Connection
from reconciliation.services.connections import connection_test
from reconciliation.services.mailbox_directory import mailboxes_look_after
from reconciliation.services.owner_check import owners_look
from reconciliation.services.set_up import SetUpRefused, connect_sandbox


class Command(BaseCommand):
    help = "Makes or refreshes the connections, mapping tables and passes of a running sandbox."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=settings.SANDBOX_URL, help="control port of the sandbox")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with requests.Session() as session:
                session.trust_env = False
                description = session.get(options["url"], headers={"Accept": "application/json"}, timeout=10).json()
            sync_pass, forgot = connect_sandbox({**description, "control_url": options["url"]})
        except SetUpRefused as refusal:
            self.stderr.write(f"The sandbox was not connected. {refusal}")
            raise SystemExit(2) from None
        except (requests.RequestException, ValueError, KeyError):
            self.stderr.write(f"No sandbox answers at {options['url']}. Start it with `manage.py sandbox`.")
            raise SystemExit(2) from None
        if forgot:
            self.stdout.write("Another sandbox world: what was learnt of the earlier one was forgotten.")
        connections = list(Connection.objects.filter(is_sandbox=True).order_by("pk"))
        for connection in connections:  # the mapping page offers the fields that were read here
            for line in connection_test(connection):
                if not line.is_ok:
                    self.stderr.write(f"{connection}: {line.name}: {line.sentence} {line.remedy}".rstrip())
        with suppress(ConnectorError):  # said above; Set-up asks again
            owners_look(sync_pass)
        with suppress(ConnectorError):  # said above; it is looked again every day
            mailboxes_look_after()
        *others, last = map(str, connections)
        self.stdout.write(f"Connected {', '.join(others)} and {last}; pass “{sync_pass.title}” is ready.")
