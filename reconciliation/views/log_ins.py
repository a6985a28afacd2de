"""Log-in: its form, the page of a lock, who is locked, and the page of one's own second factor."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import authenticate
from django.contrib.auth.models import AbstractBaseUser, Group, User
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.shortcuts import render as draw
from django_otp import login as show_factor
from django_otp import verify_token

from reconciliation.models import AuditEntry
from reconciliation.roles import ADMINISTER
from reconciliation.services import second_factor as factors
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.log_ins import lock_ends_at, locks, log_in_unlock
from reconciliation.views.page import action, page, render

LAST_SHOWN = 20


class LogInForm(AdminAuthenticationForm):
    """Name, password, and the code for those who set up a second factor. Who has none leaves it empty."""

    code = forms.CharField(
        label="Code",
        required=False,
        max_length=40,
        help_text="From your authenticator app, or a recovery code. Leave it empty if you have not set one up.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "spellcheck": "false", "aria-describedby": "code-help"}),
    )

    def clean_username(self) -> str:
        """Refuses what nobody can be called, before it is counted: what counts is stored, and the column ends."""
        name: str = self.cleaned_data["username"]
        if len(name) > (User._meta.get_field(User.USERNAME_FIELD).max_length or 0):
            raise self.get_invalid_login_error()
        return name

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        super().confirm_login_allowed(user)  # type: ignore[arg-type]
        device = factors.second_factor_of(user)
        if device is None or not device.confirmed:
            return
        code = self.cleaned_data.get("code")
        if not code:
            raise forms.ValidationError("Enter the code of your authenticator app as well, and the password once more.", code="code")
        taken = verify_token(user, device.persistent_id, code)
        if taken is None:  # counts like a wrong password, so that codes cannot be guessed
            user_login_failed.send(sender=__name__, credentials={"username": user.get_username()}, request=self.request)
            raise forms.ValidationError(factors.WRONG_CODE, code="code")
        user.otp_device = taken  # type: ignore[attr-defined]  # django_otp writes it into the session


def locked_out(request: HttpRequest, response: Any = None, credentials: dict[str, Any] | None = None) -> HttpResponse:
    """The page instead of the log-in form after too many wrong ones; `settings.AXES_LOCKOUT_CALLABLE` names it."""
    username = (credentials or {}).get("username") or request.POST.get("username", "")
    ends_at = lock_ends_at(username, getattr(request, "axes_ip_address", None))
    # Outside the admin's frame, which knows the site's name.
    context = {"title": "Too many wrong log-ins", "site_header": factors.ISSUER, "site_title": factors.ISSUER, "ends_at": ends_at}
    answer = draw(request, "admin/reconciliation/log_in/locked.html", context, status=429)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@page(ADMINISTER)
def show_list(request: HttpRequest) -> HttpResponse:
    groups = [
        (group, bool(getattr(group, "rule", None) and group.rule.second_factor))
        for group in Group.objects.select_related("rule").order_by("name")
    ]
    return render(
        request,
        "admin/reconciliation/log_in/list.html",
        "Log-ins",
        locks=locks(),
        groups=groups,
        people=factors.people_with_second_factor(),
        entries=AuditEntry.objects.filter(action__in=["log in", "log-in failed", "log-in locked"]).order_by("-id")[:LAST_SHOWN],
    )


@action(ADMINISTER)
def unlock(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("username", "")
    log_in_unlock(request.user, name)
    messages.success(request, f"“{name}” may log in again.")
    return redirect("admin:log_ins")


@action(ADMINISTER)
def remove_factor(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("username", "")
    factors.second_factor_remove(request.user, name)
    messages.success(request, f"“{name}” logs in with the password alone, and can set up a new app.")
    return redirect("admin:log_ins")


@action(ADMINISTER)
def require_factor(request: HttpRequest) -> HttpResponse:
    factors.second_factor_require(request.user, set(request.POST.getlist("group")))
    messages.success(request, "Saved. Members without a second factor are asked to set one up before they see anything else.")
    return redirect("admin:log_ins")


@page()
def my_factor(request: HttpRequest, codes: list[str] | None = None) -> HttpResponse:
    device = factors.second_factor_of(request.user)
    return render(
        request,
        "admin/reconciliation/log_in/second_factor.html",
        "Your second factor",
        device=device,
        picture=factors.enrolment_picture(request.user, device) if device and not device.confirmed else "",
        codes=codes,
        required=factors.is_second_factor_required(request.user),
    )


@action("reconciliation.see_pages")
def start_factor(request: HttpRequest) -> HttpResponse:
    _ask_password(request)
    factors.second_factor_start(request.user)
    return redirect("admin:second_factor")


@action("reconciliation.see_pages")
def confirm_factor(request: HttpRequest) -> HttpResponse:
    device, codes = factors.second_factor_confirm(request.user, request.POST.get("code", ""))
    request.session.cycle_key()
    show_factor(request, device)
    return my_factor(request, codes)


@action("reconciliation.see_pages")
def renew_codes(request: HttpRequest) -> HttpResponse:
    return my_factor(request, factors.second_factor_codes(request.user, request.POST.get("code", "")))


@action("reconciliation.see_pages")
def stop_factor(request: HttpRequest) -> HttpResponse:
    _ask_password(request)
    factors.second_factor_stop(request.user, request.POST.get("code", ""))
    request.session.cycle_key()
    messages.success(request, "Your second factor is off.")
    return redirect("admin:second_factor")


def _ask_password(request: HttpRequest) -> None:
    """An open session is not enough to change how its person logs in. Wrong passwords count like wrong log-ins."""
    found = authenticate(request, username=request.user.get_username(), password=request.POST.get("password", ""))
    if found is None or found.pk != request.user.pk:
        raise DecisionRefused("That is not your password. Nothing was changed.")
