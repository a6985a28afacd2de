"""Where Outreach delivers what it tells of changes: no log-in, no session, no form; the signature is the permission."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from reconciliation.services.hook_receiver import BODY_BYTES, Taken, receive

log = logging.getLogger(__name__)
SIGNATURE = "Outreach-Webhook-Signature"
SIGNATURE_CHARACTERS, LARGEST_ID = 200, 2**31
PLAIN = "text/plain; charset=utf-8"
ANSWERS = {
    Taken.STORED: (200, "Stored."),
    Taken.REPEATED: (200, "Stored."),
    Taken.SPOOLED: (200, "Stored."),
    Taken.FORGED: (401, "The signature does not fit."),
    Taken.LOST: (503, "Not stored."),
}


@csrf_exempt
@never_cache
@require_POST
def outreach(request: HttpRequest, connection_id: int) -> HttpResponse:
    """Takes one delivery. What it is called or how it is typed counts for nothing: its bytes are what is signed. An
    address without a receiver answers as one that got a wrong signature."""
    length = request.headers.get("Content-Length") or "0"
    if not (length.isascii() and length.isdigit() and len(length) < 12) or int(length) > BODY_BYTES:
        log.warning("a delivery for connection %s was refused: too large", connection_id)
        return HttpResponse("Too large.\n", status=413, content_type=PLAIN)
    try:
        body = request.body
    except UnreadablePostError:
        return HttpResponse("The body broke off.\n", status=400, content_type=PLAIN)
    signature = request.headers.get(SIGNATURE, "")[:SIGNATURE_CHARACTERS]
    taken = receive(min(connection_id, LARGEST_ID), body, signature, timezone.now())
    status, words = ANSWERS[taken]
    return HttpResponse(f"{words}\n", status=status, content_type=PLAIN)


outreach.takes_raw_body = True  # type: ignore[attr-defined]  # middleware that reads forms leaves it alone
