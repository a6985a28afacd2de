"""Sends what waits in the outbox: mails by SMTP, and one chat by a signed webhook. Each message has tries of its own.

Called by a job of its own, never by a pass: a mail server that is down costs nothing but its messages' time, and the
dashboard says what it answers.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import smtplib
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db.models import F, Q

from connectors.errors import ConnectorError, NeedsAttention
from connectors.http import HttpClient
from reconciliation.core import messages as words
from reconciliation.engine import lease as leases
from reconciliation.engine.runner import holder_name
from reconciliation.engine.sign_in_links import body_of as body_of_link
from reconciliation.models import ChatHook, Message

log = logging.getLogger(__name__)
TRY_AGAIN_MINUTES = (1, 2, 4, 8, 15, 30, 60)
MOST_TRIES = 30  # about a day
MOST_AT_ONCE = 100
BUDGET_SECONDS = 40.0  # with one time-out more, less than the lease
CLAIM_LASTS = timedelta(minutes=5)
KEPT_FOR = timedelta(days=90)
CHAT_TIMEOUT = 10.0
MAIL, CHAT = "mail", "chat"


@dataclass(frozen=True, slots=True)
class Said:
    """What a server made of a message. `is_final`: it will say the same again. `stops`: others need not be tried now."""

    is_sent: bool
    words: str
    is_final: bool = False
    stops: bool = False


def has_due(now: datetime) -> bool:
    """Tells whether a message is to be sent now."""
    return _due(now).exists()


def _due(now: datetime):
    lost = Q(state=Message.State.SENDING, next_try_at__lte=now - CLAIM_LASTS)  # its process ended in the middle
    due = Message.objects.filter(Q(state=Message.State.WAITING, next_try_at__lte=now) | lost)
    return due if settings.MAIL_IS_CONFIGURED else due.filter(user=None)


def send_due(now: datetime) -> str:
    """Sends what is due, oldest first, and returns what was done, for the task log."""
    try:
        lease = leases.take("outbox", holder_name())
    except leases.LeaseHeld:
        return "another worker sends"
    ends, sent, failed = time.monotonic() + BUDGET_SECONDS, 0, 0
    stopped: set[object] = set()  # channels that are down, and stories whose beginning waits
    try:
        for message in _in_order(now):
            if time.monotonic() >= ends:
                break
            if {_channel(message), _story(message)} & stopped:
                continue
            said = _send_one(message, now)
            if said is None:
                continue
            sent, failed = sent + said.is_sent, failed + (not said.is_sent)
            if not said.is_sent:
                stopped |= {_channel(message)} if said.stops else set() if said.is_final else {_story(message)}
        _forget_old(now)
    finally:
        lease.release()
    return f"{sent} sent, {failed} failed"


def _in_order(now: datetime) -> list[Message]:
    """Returns what is to be tried, oldest first. The end of a story takes its beginning along, if that still waits."""
    due = list(_due(now).order_by("pk")[:MOST_AT_ONCE])
    stories = {_story(message) for message in due if message.alert_id}
    elders = Message.objects.filter(state=Message.State.WAITING, alert_id__in={alert for alert, _ in stories}, next_try_at__gt=now)
    return sorted([*due, *(m for m in elders[:MOST_AT_ONCE] if _story(m) in stories)], key=lambda message: message.pk)


def _story(message: Message) -> tuple[int | None, int | None]:
    """Returns what a person must hear in order: the messages of one cause."""
    return (message.alert_id or -message.pk, message.user_id)


def _channel(message: Message) -> str:
    return CHAT if message.is_chat else MAIL


def _send_one(message: Message, now: datetime) -> Said | None:
    """Claims the message, sends it, and writes down what came of it. Returns None when another worker has it."""
    mine = Message.objects.filter(pk=message.pk, state=message.state, tries=message.tries)
    if not mine.update(state=Message.State.SENDING, tries=F("tries") + 1, next_try_at=now):
        return None
    message.tries += 1
    said = deliver(message)
    if said.is_sent:
        values = {"state": Message.State.SENT, "sent_at": now}
    elif said.is_final or message.tries >= MOST_TRIES:
        values = {"state": Message.State.FAILED}
    else:
        minutes = TRY_AGAIN_MINUTES[min(message.tries, len(TRY_AGAIN_MINUTES)) - 1]
        values = {"state": Message.State.WAITING, "next_try_at": now + timedelta(minutes=minutes)}
    Message.objects.filter(pk=message.pk, state=Message.State.SENDING).update(says=said.words[:300], **values)
    if not said.is_sent:
        log.warning("message %s (%s) was not sent: %s", message.pk, message.what, said.words)
    return said


def deliver(message: Message) -> Said:
    """Sends one message now and returns what the server said."""
    if message.is_chat:
        return post_chat(words.Words(message.subject, message.body), event=message.what, number=str(message.pk))
    # A link is another one in each try, so that a second mail must not pass for the first.
    number = f"{message.pk}-{message.tries}" if message.what == Message.What.LINK else str(message.pk)
    return send_mail(message.address, words.Words(message.subject, body_of_link(message, datetime.now(UTC))), number=number)


def send_mail(address: str, said: words.Words, *, number: str) -> Said:
    """Sends one plain mail. The Message-ID is the same in each try, so that a doubt ends as one mail in most boxes."""
    if not settings.MAIL_IS_CONFIGURED:
        return Said(False, "Mail is not configured: set EMAIL_URL, DEFAULT_FROM_EMAIL and SITE_URL, then start again.", stops=True)
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    digest = hashlib.sha256(f"{settings.SECRET_KEY}:{number}:{said.subject}".encode()).hexdigest()[:24]
    mail = EmailMessage(
        subject=said.subject,
        body=said.body,
        to=[address],
        headers={
            "Message-ID": f"<{digest}@{host}>",
            "Date": formatdate(),
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
        connection=get_connection(fail_silently=False),
    )
    try:
        mail.send()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return _mail_trouble(error)
    return Said(True, f"The mail server {settings.EMAIL_HOST} took the message for {address}.")


def _mail_trouble(error: Exception) -> Said:
    """Returns what a failure means, in words. Never shows the password, which no answer repeats and we cut besides."""
    server = f"The mail server {settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, answer = next(iter(error.recipients.values()), (0, b""))
        return Said(False, f"{server} refused the address: {_answer(code, answer)}.", is_final=500 <= code < 600)
    if isinstance(error, smtplib.SMTPSenderRefused):
        return Said(
            False, f"{server} refuses our address {settings.DEFAULT_FROM_EMAIL}: {_answer(error.smtp_code, error.smtp_error)}.", stops=True
        )
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return Said(False, f"{server} refused our user name or password: {_answer(error.smtp_code, error.smtp_error)}.", stops=True)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return Said(False, f"{server} broke off the connection.", stops=True)
    if isinstance(error, smtplib.SMTPResponseException):
        return Said(False, f"{server} said no: {_answer(error.smtp_code, error.smtp_error)}.", stops=True)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Said(False, f"{server} does not offer what the settings ask for (TLS or a log-in).", stops=True)
    if isinstance(error, ssl.SSLError):
        return Said(False, f"{server} and we found no secure connection; check its certificate, and TLS against SSL.", stops=True)
    if isinstance(error, TimeoutError):
        return Said(False, f"{server} did not answer in time.", stops=True)
    if isinstance(error, OSError):
        return Said(False, f"{server} cannot be reached.", stops=True)
    return Said(False, f"{server}: the message could not be written ({type(error).__name__}).", is_final=True)


def _answer(code: int, answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
    for secret in (settings.EMAIL_HOST_PASSWORD,):
        text = text.replace(secret, "…") if len(secret) > 3 else text
    return f"{code} {words.one_line(text)}".strip()


def post_chat(said: words.Words, *, event: str, number: str, adapter: requests.adapters.BaseAdapter | None = None) -> Said:
    """Posts {"text": …} to the chat's webhook, which Slack, Mattermost and Google Chat understand. The signature
    is HMAC-SHA256 over `timestamp.body` with the secret; receivers compare it and refuse old timestamps."""
    hook = ChatHook.objects.filter(pk=1).first()
    if hook is None or not hook.secrets.get("address"):
        return Said(False, "No webhook address is set.", is_final=True)
    address, secret = str(hook.secrets["address"]), str(hook.secrets.get("secret", ""))
    parts = urlsplit(address)
    path = address[len(f"{parts.scheme}://{parts.netloc}") :] or "/"
    payload = {"text": words.chat(said)}
    stamp = str(int(time.time()))
    try:
        http = HttpClient(
            "chat",
            f"{parts.scheme}://{parts.netloc}",
            timeout=CHAT_TIMEOUT,
            secrets=[secret, path],
            allow_loopback=settings.ALLOW_LOOPBACK,
            adapter=adapter,
        )
        try:
            answer = http.request(
                "POST",
                path,
                template="webhook",
                is_read=False,
                json_body=payload,
                headers={
                    "Content-Type": "application/json",
                    "X-Syncsite-Event": event,
                    "X-Syncsite-Message": number,
                    "X-Syncsite-Timestamp": stamp,
                    "X-Syncsite-Signature": f"sha256={sign(secret, stamp, body_of(payload))}",
                },
            )
        finally:
            http.close()
    except NeedsAttention as error:
        return Said(False, f"{error.sentence}.", is_final=False, stops=True)
    except ConnectorError as error:
        return Said(False, f"{error.sentence}.", stops=True)
    if 200 <= answer.status < 300:
        return Said(True, f"The chat at {hook.host} took the message ({answer.status}).")
    reason = words.one_line(str(answer.exchange.response_body))[:120]
    said_no = f"The chat at {hook.host} answered {answer.status}{': ' + reason if reason else ''}."
    return Said(False, said_no, is_final=answer.status in (400, 413, 422), stops=True)


def body_of(payload: dict[str, str]) -> bytes:
    """Returns the bytes that HttpClient sends for this payload: what is signed is what arrives."""
    return json.dumps(payload, allow_nan=False).encode()


def sign(secret: str, stamp: str, body: bytes) -> str:
    """Returns the signature in hex."""
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _forget_old(now: datetime) -> None:
    old = Message.objects.filter(created_at__lt=now - KEPT_FOR, state__in=(Message.State.SENT, Message.State.FAILED))
    Message.objects.filter(pk__in=list(old.order_by("pk").values_list("pk", flat=True)[:200])).delete()
