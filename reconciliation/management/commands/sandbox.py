"""`manage.py sandbox`: the stand-ins for Workbooks, Outreach, Salesforce and Google, on loopback."""

from __future__ import annotations

import json
import signal
import sys
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from connectors.sandbox.scenarios import load_csv
from connectors.sandbox.server import PortTaken, SandboxServer
from connectors.sandbox.world import PORTS, World
from reconciliation.core.counting import counted

HIGHEST_PORT = 65535 - max(PORTS.values())
MOST_LATENCY_MS = 3_600_000


class Command(BaseCommand):
    help = "Serves the sandbox systems: control and browse pages on PORT, Workbooks on +1, Outreach on +2, Salesforce on +3, Google on +5."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8900, help=f"base port, up to {HIGHEST_PORT}; 0 takes free ports")
        parser.add_argument("--scenario", default="demo", help="demo, empty, bench:N or bound:N")
        parser.add_argument("--load", metavar="CSV", help="organisations from a CSV with a `name` column")
        parser.add_argument("--latency-ms", type=float, default=0)
        parser.add_argument("--state", metavar="PATH", help="file that keeps records, ids and tokens over a restart")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["port"] <= HIGHEST_PORT:
            self._refuse(f"The base port must lie between 0 and {HIGHEST_PORT}: each system takes one above it.")
        if not 0 <= options["latency_ms"] <= MOST_LATENCY_MS:
            self._refuse(f"The latency must lie between 0 and {MOST_LATENCY_MS} ms.")
        try:
            world = World(scenario=options["scenario"], state_path=Path(options["state"]) if options["state"] else None)
            world.latency_ms = options["latency_ms"]
            if options["load"]:
                report = load_csv(world, Path(options["load"]).read_bytes())
                world.keep()
                self.stderr.write(f"{counted(report['taken'], 'row')} taken, {len(report['refused'])} refused.")
                for row in report["refused"]:
                    self.stderr.write(f"line {row['line']}: {row['reason']}")
            server = SandboxServer(world, options["port"])
        except PortTaken as error:
            self._refuse(f"Port {error.args[0]} is taken; name another with --port.")
        except (ValueError, OSError) as error:
            self._refuse(f"The sandbox cannot start: {error}.")
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        server.start()
        systems = {name: url for name, url in server.urls.items() if name != "control"}
        ready = {"ready": True, "control": server.urls["control"], "systems": systems, "world_id": world.world_id}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        stop.wait()
        server.stop()

    def _refuse(self, sentence: str) -> None:
        self.stderr.write(sentence)
        raise SystemExit(2)
