"""What holds for every request: its number in the log, its headers, the age of its session, where it came from."""

import re
import time
import uuid
from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse

from syncsite.logging import request_id

SEEN_EVERY_SECONDS = 60  # one write a minute tells enough
# A proxy may have given the request its number already; anything else in the header would be written into our log.
GIVEN = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIdMiddleware:
    """Gives each request a number, which its log lines and its answer carry."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        number = given if GIVEN.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(number)
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        response.headers["X-Request-ID"] = number
        return response


class ContentSecurityPolicyMiddleware:
    """Adds the policy of engine-rules 28 to every answer, error pages and redirects included."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = "; ".join(f"{name} {' '.join(sources)}" for name, sources in settings.CONTENT_SECURITY_POLICY.items())
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


class NoNulMiddleware:
    """Refuses an address or a form that holds a NUL: no page of ours sends one, and PostgreSQL stores none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: object, arguments: tuple[object, ...], named: dict[str, object]) -> None:
        if getattr(view, "takes_raw_body", False):  # a form would be read out of it, and the body be gone
            return
        asked = [*request.GET.lists(), *request.POST.lists()]
        if any("\0" in str(text) for text in [*named.values(), *(text for name, texts in asked for text in (name, *texts))]):
            raise SuspiciousOperation("The request holds a NUL.")


class SessionAgeMiddleware:
    """Ends a session that was idle too long or is too old. What a page fetches by itself is no sign of a person."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        session = request.session
        if SESSION_KEY in session:
            now = int(time.time())
            began, seen = session.get("began_at", now), session.get("seen_at", now)
            if now - began > settings.SESSION_COOKIE_AGE or now - seen > settings.SESSION_IDLE_SECONDS:
                logout(request)
            elif "began_at" not in session:
                session["began_at"] = session["seen_at"] = now
            elif now - seen >= SEEN_EVERY_SECONDS and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate":
                session["seen_at"] = now
        return self.get_response(request)


def client_address(request: HttpRequest) -> str:
    """Returns the address the visitor came from. Of X-Forwarded-For only what our own proxies added is believed: the
    part PROXY_COUNT from the right; anything left of it a visitor may have written."""
    direct = str(request.META.get("REMOTE_ADDR") or "")
    parts = [part.strip() for part in str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")]
    if not settings.PROXY_COUNT or len(parts) < settings.PROXY_COUNT:
        return direct
    try:
        return str(ip_address(parts[-settings.PROXY_COUNT]))
    except ValueError:
        return direct
