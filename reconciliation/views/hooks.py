"""Where Outreach and Microsoft deliver what they tell of changes: no log-in, no session, no form; a signature, or a secret in each
notice, is the permission."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from reconciliation.services import notice_receiver
from reconciliation.services.hook_receiver import BODY_BYTES, Taken, receive

log = logging.getLogger(__name__)
SIGNATURE = "Outreach-Webhook-Signature"
SIGNATURE_CHARACTERS, LARGEST_ID = 200, 2**31
TOKEN_CHARACTERS = 2048
PLAIN = "text/plain; charset=utf-8"
ANSWERS = {
    Taken.STORED: (200, "Stored."),
    Taken.REPEATED: (200, "Stored."),
    Taken.SPOOLED: (200, "Stored."),
    Taken.FORGED: (401, "The signature does not fit."),
    Taken.LOST: (503, "Not stored."),
}
NOTICE_ANSWERS = {  # what is not taken comes again, for four hours
    notice_receiver.Taken.STORED: (202, "Stored."),
    notice_receiver.Taken.SPOOLED: (202, "Stored."),
    notice_receiver.Taken.UNREADABLE: (400, "It holds no notices."),
    notice_receiver.Taken.LOST: (503, "Not stored."),
}


@csrf_exempt
@never_cache
@require_POST
def outreach(request: HttpRequest, connection_id: int) -> HttpResponse:
    """Takes one delivery. What it is called or how it is typed counts for nothing: its bytes are what is signed. An
    address without a receiver answers as one that got a wrong signature."""
    if _is_too_large(request, BODY_BYTES):
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


def _is_too_large(request: HttpRequest, most: int) -> bool:
    """Tells whether the body is larger than that, or does not say how large it is."""
    length = request.headers.get("Content-Length") or "0"
    return not (length.isascii() and length.isdigit() and len(length) < 12) or int(length) > most


@csrf_exempt
@never_cache
@require_POST
def microsoft(request: HttpRequest) -> HttpResponse:
    """Takes notices of changed meetings, or says the word by which Microsoft sees that the address is ours. Forged notices are
    answered as genuine ones: nobody learns which subscriptions there are."""
    token = request.GET.get("validationToken")
    if token is not None:
        is_short = len(token) <= TOKEN_CHARACTERS
        return HttpResponse(token if is_short else "Too long.\n", status=200 if is_short else 400, content_type=PLAIN)
    if _is_too_large(request, notice_receiver.BODY_BYTES):
        log.warning("a delivery of notices was refused: too large")
        return HttpResponse("Too large.\n", status=413, content_type=PLAIN)
    try:
        body = request.body
    except UnreadablePostError:
        return HttpResponse("The body broke off.\n", status=400, content_type=PLAIN)
    status, words = NOTICE_ANSWERS[notice_receiver.receive(body, timezone.now())]
    return HttpResponse(f"{words}\n", status=status, content_type=PLAIN)


microsoft.takes_raw_body = True  # type: ignore[attr-defined]
