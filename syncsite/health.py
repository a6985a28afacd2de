"""For machines that watch the site: /healthz without a log-in, /metrics behind a token. Neither needs a session, and
both are read from the database, so that it does not matter which process answers."""

from __future__ import annotations

import hmac
import logging
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from reconciliation.core.alerts import is_overdue
from reconciliation.services.alert_facts import last_beat, pass_facts
from reconciliation.services.metrics import exposition

log = logging.getLogger(__name__)
BEAT_IS_OLD_SECONDS = 180  # as the watchdog of `serve`
BROKEN = (DatabaseError, InterfaceError, OSError)
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Returns 200 when work goes on and 503 when it does not. A system that is down is no fault of this site: passes that
    wait for it are not too old. No names of records, addresses or people."""
    try:
        found = _look()
    except BROKEN:
        log.exception("the health check found no database")
        found = {"status": "failing", "database": "failing"}
    return JsonResponse(found, status=200 if found["status"] == "ok" else 503)


def _look() -> dict[str, Any]:
    now = timezone.now()
    beat_at = last_beat()
    age = None if beat_at is None else round((now - beat_at).total_seconds())
    heart = {"age_seconds": age, "is_too_old": age is None or age > BEAT_IS_OLD_SECONDS}
    passes = [
        {
            "title": facts.title,
            "is_on": facts.is_working,
            "last_run_age_seconds": None if facts.last_began_at is None else round((now - facts.last_began_at).total_seconds()),
            "is_too_old": is_overdue(facts, now),
        }
        for facts in pass_facts()
    ]
    is_ok = not heart["is_too_old"] and not any(one["is_too_old"] for one in passes)
    return {"status": "ok" if is_ok else "failing", "database": "ok", "heartbeat": heart, "passes": passes}


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Returns what the database says, in Prometheus' text format 0.0.4, to who knows the token."""
    if not settings.METRICS_TOKEN:
        return HttpResponse("There is no such page.\n", status=404, content_type=PLAIN)
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), f"Bearer {settings.METRICS_TOKEN}".encode()):
        answer = HttpResponse("The token is missing or wrong.\n", status=401, content_type=PLAIN)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return answer
    try:
        return HttpResponse(exposition(timezone.now()), content_type=METRICS_TYPE)
    except BROKEN:
        log.exception("the metrics found no database")
        return HttpResponse("The database does not answer.\n", status=503, content_type=PLAIN)
