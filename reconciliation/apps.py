from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class ReconciliationConfig(AppConfig):
    name = "reconciliation"
    verbose_name = "Reconciliation"

    def ready(self) -> None:
        post_migrate.connect(schedule_heartbeat, dispatch_uid="reconciliation.heartbeat")


def schedule_heartbeat(*, app_config: AppConfig, using: str, **kwargs: Any) -> None:
    """Makes the schedule whose task goes through queue and worker; the watchdog of `serve` looks for its effect."""
    if app_config.label != "django_q":
        return
    from django_q.models import Schedule

    if Schedule._meta.db_table not in connections[using].introspection.table_names():
        return  # `migrate reconciliation` alone on an empty database
    Schedule.objects.using(using).update_or_create(
        name="heartbeat",
        defaults={"func": "reconciliation.engine.heartbeat.beat", "schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1},
    )
