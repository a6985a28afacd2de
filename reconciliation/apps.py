from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class ReconciliationConfig(AppConfig):
    name = "reconciliation"
    verbose_name = "Reconciliation"

    def ready(self) -> None:
        from reconciliation.services import log_ins  # noqa: F401  connects its receivers

        post_migrate.connect(make_schedules, dispatch_uid="reconciliation.schedules")
        post_migrate.connect(make_roles, sender=self, dispatch_uid="reconciliation.roles")


# name, function, its argument, minutes. "Outreach Send/Receive" is what seed 000 calls the process (S0.1).
SCHEDULES = (
    ("heartbeat", "reconciliation.engine.heartbeat.beat", (), 1),
    ("Outreach Send/Receive", "reconciliation.jobs.tick", ("organisations",), 1),
    ("Prospects and CRM people", "reconciliation.jobs.tick", ("prospects",), 1),
    ("Accounts of both sides", "reconciliation.jobs.tick", ("accounts",), 1),
    ("Outreach activities", "reconciliation.jobs.tick", ("outreach-activities",), 1),
    ("Mailbox contacts", "reconciliation.jobs.tick", ("contacts",), 1),
    ("Mailbox e-mails", "reconciliation.jobs.tick", ("emails",), 1),
    ("Mailbox calendars", "reconciliation.jobs.tick", ("events",), 1),
    ("Mailbox tasks", "reconciliation.jobs.tick", ("tasks",), 1),
    ("Look what people should be told", "reconciliation.jobs.watch_alerts", (), 1),
    ("Work off what webhooks told", "reconciliation.jobs.work_off_deliveries", (), 1),
    ("Keep insta-sync", "reconciliation.mailbox_jobs.keep_insta_sync", (), 1),
    ("Look again at open cases", "reconciliation.jobs.refresh_cases", ("organisations",), 60),
    ("Look again at open conflicts", "reconciliation.jobs.refresh_conflicts", (), 60),
    ("Renew access tokens", "reconciliation.jobs.renew_tokens", (), 6 * 60),
    ("Look at our webhooks", "reconciliation.jobs.check_hooks", (), 24 * 60),
    ("Look again for owners", "reconciliation.jobs.recheck_owners", ("organisations",), 24 * 60),
    ("Look for joiners and leavers", "reconciliation.mailbox_jobs.look_after", (), 24 * 60),
    ("Look at made people and own domains", "reconciliation.mailbox_jobs.look_at_people", (), 24 * 60),
    ("Remove old history", "reconciliation.jobs.prune", (), 24 * 60),
)


def make_schedules(*, app_config: AppConfig, using: str, **kwargs: Any) -> None:
    """Makes the schedules, each once however often this runs (S0.2). The watchdog of `serve` looks for the effect of
    the heartbeat, which goes through queue and worker."""
    if app_config.label != "django_q":
        return
    from django_q.models import Schedule

    if Schedule._meta.db_table not in connections[using].introspection.table_names():
        return  # `migrate reconciliation` alone on an empty database
    for name, function, arguments, minutes in SCHEDULES:
        Schedule.objects.using(using).update_or_create(
            name=name,
            defaults={
                "func": function,
                "args": repr(arguments) if arguments else None,
                "schedule_type": Schedule.MINUTES,
                "minutes": minutes,
                "repeats": -1,
            },
        )


def make_roles(*, app_config: AppConfig, using: str, **kwargs: Any) -> None:
    """Makes the groups viewer, operator and admin with their permissions; what an admin added to them stays."""
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    from reconciliation.roles import ROLES

    create_permissions(app_config, verbosity=0, using=using)
    for name, codenames in ROLES.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        wanted = Permission.objects.using(using).filter(content_type__app_label="reconciliation", codename__in=codenames)
        group.permissions.add(*wanted)
