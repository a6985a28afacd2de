"""What every page shares: its permission, its context, and how a refused action is told."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.views.decorators.http import require_POST

from connectors.errors import ConnectorError
from reconciliation.engine.lease import LeaseLost
from reconciliation.engine.staff import Busy, Refusal
from reconciliation.engine.stop import WritesStopped
from reconciliation.roles import VIEW
from reconciliation.selectors import MOST_COUNTED

ROWS_A_PAGE = 50
View = Callable[..., HttpResponse]


def page(permission: str = VIEW) -> Callable[[View], View]:
    """Lets only people with the permission in."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            if request.method not in ("GET", "HEAD", "POST"):
                return HttpResponseNotAllowed(("GET", "HEAD", "POST"))
            return view(request, *args, **kwargs)

        return checked

    return decorate


def action(permission: str) -> Callable[[View], View]:
    """A page that changes something: POST only, with the permission; refusals become a message on the page before."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            back = request.POST.get("back", "")
            return or_told(request, back if is_local(back) else "/", lambda: view(request, *args, **kwargs))

        return require_POST(page(permission)(guarded))

    return decorate


def or_told(request: HttpRequest, back: str, do: Callable[[], HttpResponse]) -> HttpResponse:
    """Returns what `do` answers; where it is refused or fails remotely, the way back with a message that says why."""
    try:
        return do()
    except (Busy, LeaseLost):
        messages.warning(request, "The pass is writing just now. Nothing was done; try again in a moment.")
    except (Refusal, WritesStopped) as refusal:
        _warn_once(request, str(refusal))
    except ConnectorError as error:
        messages.error(request, f"{error.sentence}. {error.remedy}")
    return redirect(back)


def _warn_once(request: HttpRequest, text: str) -> None:
    """Says why an act was refused, once: the page that it goes back to may refuse for the same reason."""
    waiting = messages.get_messages(request)
    is_said = any(str(message) == text for message in waiting)
    waiting.used = False  # looked at, not shown
    if not is_said:
        messages.warning(request, text)


def whole_number(text: str) -> int | None:
    """Returns the number that a form or an address says, None when it says none that a database could hold."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def is_local(address: str) -> bool:
    return address.startswith("/") and not address.startswith(("//", "/\\"))


def render(request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
    """Returns a page of ours inside the admin's frame."""
    frame = request.admin_site.each_context(request)  # type: ignore[attr-defined]  # set by SyncAdminSite.admin_view
    return TemplateResponse(request, template, {**frame, "title": title, **context})


class BoundedPaginator(Paginator):
    """Counts no further than MOST_COUNTED rows, so that a list costs the same at a million."""

    @cached_property
    def count(self) -> int:
        return int(self.object_list.order_by()[: MOST_COUNTED + 1].count())  # type: ignore[union-attr]


def paginate(request: HttpRequest, rows: Any) -> Any:
    """Returns the page of rows that the address asks for."""
    return BoundedPaginator(rows, ROWS_A_PAGE).get_page(request.GET.get("page"))
