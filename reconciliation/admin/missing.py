"""Pages that are not there, or not for this person: inside the frame, with a way on."""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render as draw

from reconciliation.admin.site import site

log = logging.getLogger(__name__)


def _framed(request: HttpRequest, status: int, title: str, sentence: str) -> HttpResponse:
    context: dict[str, Any] = {"title": title, "sentence": sentence, "site_header": site.site_header, "site_title": site.site_title}
    if request.user.is_authenticated:
        context |= site.each_context(request)
    return draw(request, "admin/reconciliation/missing.html", {**context, "title": title, "sentence": sentence}, status=status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _framed(request, 404, "There is no such page", "The address may be mistyped, or the record was forgotten with its run.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    log.warning("refused: %s %s for %s", request.method, request.path, request.user.get_username() or "a visitor")
    sentence = "Your role does not include this page. Viewers see, operators work queues and run passes, admins change settings."
    return _framed(request, 403, "This is not yours to do", sentence)
