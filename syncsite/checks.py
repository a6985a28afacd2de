"""What `manage.py check --deploy` says about our own switches."""

from typing import Any

from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.security, deploy=True)
def loopback_is_off(**kwargs: Any) -> list[Warning]:
    if not settings.ALLOW_LOOPBACK:
        return []
    return [
        Warning(
            "ALLOW_LOOPBACK is on: connections may use plain http and addresses of this machine.",
            hint="Set ALLOW_LOOPBACK=0 outside demonstrations and tests.",
            id="syncsite.W001",
        )
    ]
