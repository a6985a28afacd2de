"""`manage.py after_restore`: tells the application that its database is a backup, before anything runs again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from reconciliation.services.restored_backup import database_restored


class Command(BaseCommand):
    help = "Says that the database was put back from a backup: the next runs guess nothing of what was forgotten"

    def handle(self, *args: Any, **options: Any) -> None:
        passes = database_restored()
        for sync_pass in passes:
            self.stdout.write(f"“{sync_pass}” compares everything changed since {sync_pass.restored_to:%Y-%m-%d %H:%M:%S UTC}.")
        if not passes:
            self.stdout.write("No pass is set up; there is nothing to keep in mind.")
        self.stdout.write("What cannot be known becomes a case. Start the services, then look at Connections: an Outreach token")
        self.stdout.write("that was renewed after the backup is void and needs Reconnect.")
