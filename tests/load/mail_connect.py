"""Connects a played mail system and adds its mailboxes: `mail_connect.py CONTROL SYSTEM`. Contacts are on for all of them; the
first mailboxes show the user's own contacts."""

from __future__ import annotations

import sys

import django
import requests


def main(control: str, system: str) -> None:
    from reconciliation.models import Connection, SyncPass
    from reconciliation.services.mailbox_directory import mailboxes_add
    from reconciliation.services.set_up import contacts_pass

    with requests.Session() as session:
        session.trust_env = False
        given = session.get(control, headers={"Accept": "application/json"}, timeout=60).json()[system]
    secrets = {"microsoft": ("client_id", "client_secret"), "google": ("service_account",)}[system]
    settings = {"tenant": given["tenant"]} if system == "microsoft" else {"flow": "service_account", "pause": 0}
    peer, _ = Connection.objects.get_or_create(
        system=system,
        is_sandbox=True,
        defaults={
            "name": system,
            "base_url": given["base_url"],
            "login_url": given["base_url"],
            "secrets": {name: given[name] for name in secrets},
            "settings": settings,
            "settle_seconds": 0,
        },
    )
    sync_pass = contacts_pass(Connection.objects.get(system="salesforce"), peer)
    on = {"mailbox_settings": {"contacts": {"value": True, "is_locked": False}}}
    SyncPass.objects.filter(pk=sync_pass.pk).update(is_on=True, settings={**sync_pass.settings, **on})
    mailboxes_add(peer, given["mailboxes"], None)


if __name__ == "__main__":
    django.setup()
    main(*sys.argv[1:])
