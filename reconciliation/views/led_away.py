"""People who are led to a system's page of consent and come back: what is remembered of them in the session meanwhile."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from reconciliation.services.oauth import Flow

FLOWS, MOST_FLOWS = "oauth_flows", 5  # log-ins under way in one browser, by their state
STATE_CHARACTERS = 100
SAID = ("code", "error", "admin_consent", "tenant")


def led_away(request: HttpRequest, url: str, state: str, flow: Flow) -> HttpResponse:
    """Leads the browser to a page of consent, and remembers for what."""
    flows = request.session.get(FLOWS, {})
    latest = sorted(flows.items(), key=lambda item: item[1]["begun_at"])[-(MOST_FLOWS - 1) :]
    request.session[FLOWS] = {**dict(latest), state: flow.as_dict()}
    return HttpResponseRedirect(url)


def brought_back(request: HttpRequest) -> dict[str, Any] | None:
    """Returns what was remembered under the state that came back, and forgets it: a state is good once."""
    flows = request.session.get(FLOWS, {})
    remembered: dict[str, Any] | None = flows.pop(request.GET.get("state", "")[:STATE_CHARACTERS], None)
    if remembered is not None:
        request.session[FLOWS] = flows
        request.session.save()
    return remembered


def answer_of(request: HttpRequest) -> dict[str, str]:
    """Returns what the page of consent said."""
    return {name: request.GET.get(name, "")[:4000] for name in SAID}


def redirect_uris(request: HttpRequest) -> dict[str, str]:
    """Returns the addresses that systems send browsers back to: one for all connections, one for users of mailboxes."""
    pages = {"connection": "admin:connection_callback", "mailbox": "admin:my_mailbox_callback"}
    return {name: request.build_absolute_uri(reverse(page)) for name, page in pages.items()}
