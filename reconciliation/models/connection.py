"""Our access to one system."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import models

from reconciliation.core.counting import counted
from reconciliation.models.encrypted import EncryptedJSONField

REFRESH_TOKEN_DAYS = 14  # Outreach's refresh tokens die after so many days without use; Salesforce's when its app says so
SECRET_WARNING_DAYS = 30
REFRESH_WARNING_DAYS = 10  # it is renewed daily: fewer days left mean that renewals have failed for days
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Expiry:
    """One credential that ends of itself: which, on what day, in how many days, and from when on people are warned."""

    connection: Connection
    what: str
    on: date
    days: int
    warning_days: int

    @property
    def is_near(self) -> bool:
        return self.days <= self.warning_days

    @property
    def sentence(self) -> str:
        """What staff read: how long it lasts, and what to do."""
        if self.what == "refresh token":
            when = f"dies in {counted(self.days, 'day')}" if self.days >= 0 else "has died"
            why = "it is renewed daily, which has failed for days. Test the connection, or reconnect it."
            return f"{self.connection}: the refresh token {when}; {why}"
        when = (
            "has ended" if self.days < 0 else ("ends today", "ends tomorrow")[self.days] if self.days < 2 else f"ends in {self.days} days"
        )
        advice = "Make a new one there and enter it here, with its date."
        if self.what == "certificate":
            advice = "Make a new one with its key, upload it to the app there, then both here."
        return f"{self.connection}: the {self.what} {when} ({self.on:%d %B %Y}). {advice}"


class Connection(models.Model):
    """One system, how to reach it, and how it is. Secrets are write-only in every form and never logged."""

    class System(models.TextChoices):
        WORKBOOKS = "workbooks", "Workbooks"
        OUTREACH = "outreach", "Outreach"
        SALESFORCE = "salesforce", "Salesforce"
        MICROSOFT = "microsoft", "Microsoft 365"
        GOOGLE = "google", "Google"
        EXCHANGE = "exchange", "Exchange (on premises)"

    class Flow(models.TextChoices):
        """How a connection comes by its tokens; the values are the connectors'. `FLOWS` says which of them a system knows."""

        WEB = "web", "A person logs in with the browser (web server flow with PKCE)"
        JWT = "jwt", "By certificate, without a person (JWT bearer flow)"
        APP = "client_credentials", "As the app itself (client credentials flow)"
        SERVICE = "service_account", "By a service account that acts for users (domain-wide delegation)"

    class State(models.TextChoices):
        UNTESTED = "untested", "Not tested"
        OK = "ok", "Works"
        WAITING = "waiting", "Waiting"
        NEEDS_ATTENTION = "needs_attention", "Needs attention"

    name = models.CharField(max_length=100, unique=True)
    system = models.CharField(max_length=20, choices=System.choices)
    base_url = models.CharField(max_length=300)
    page_address_template = models.CharField(
        max_length=300, blank=True, help_text="Address of a record's page for people, with {id}, e.g. https://web.example/accounts/{id}"
    )
    settings = models.JSONField(default=dict, blank=True)
    secrets = EncryptedJSONField(default=dict, blank=True, editable=False)
    is_sandbox = models.BooleanField(default=False, editable=False)
    world_id = models.CharField(max_length=64, blank=True, editable=False)
    state = models.CharField(max_length=20, choices=State.choices, default=State.UNTESTED, editable=False)
    last_error = models.TextField(blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, blank=True, editable=False)
    settle_seconds = models.PositiveIntegerField(
        default=120, help_text="How long a new record may stay invisible to searches. Decides when an unanswered create is sent again."
    )
    schema_cache = models.JSONField(default=dict, blank=True, editable=False)
    calls_limit = models.IntegerField(null=True, editable=False)
    calls_remaining = models.IntegerField(null=True, editable=False)
    calls_reset_at = models.DateTimeField(null=True, editable=False)
    token_lock_until = models.DateTimeField(null=True, editable=False)
    renewal_begun_at = models.DateTimeField(null=True, editable=False)  # a renewal whose answer is not stored yet
    refresh_used_at = models.DateTimeField(null=True, editable=False)
    login_url = models.CharField(max_length=300, blank=True)  # "": people log in where the interface is
    secret_expires_on = models.DateField(null=True, blank=True)
    connected_at = models.DateTimeField(null=True, editable=False)
    connected_by = models.CharField(max_length=150, blank=True, editable=False)  # one of our users, as named then
    connected_as = models.CharField(max_length=210, blank=True, editable=False)  # as the system says
    checks = models.JSONField(default=list, blank=True, editable=False)  # the lines of the last test
    tested_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def authorise_base(self) -> str:
        """Where people log in, and where tokens come from."""
        return self.login_url or self.base_url

    @property
    def flow(self) -> str:
        """How it comes by its credentials; "" where an API key or a password is all there is. Where nothing was chosen, the way that is
        shipped."""
        if self.system in (self.System.WORKBOOKS, self.System.EXCHANGE):
            return ""
        chosen = (self.settings or {}).get("flow") if self.system in FLOWS else None
        if not chosen and self.system == self.System.GOOGLE:  # as the connector takes it
            chosen = self.Flow.SERVICE if self.secrets.get("service_account") else self.Flow.WEB
        return str(chosen or (self.Flow.APP if self.system == self.System.MICROSOFT else self.Flow.WEB))

    @property
    def folder_word(self) -> str:
        """What its users call the place where shared contacts lie."""
        return "label" if self.system == self.System.GOOGLE else "folder"

    @property
    def is_personal(self) -> bool:
        """Whether each mailbox is connected by its own user: the connection itself opens none."""
        return self.system in (self.System.MICROSOFT, self.System.GOOGLE) and self.flow == self.Flow.WEB

    @property
    def needs_consent(self) -> bool:
        """Whether a person connects it in the browser. At Microsoft the users of mailboxes do, and nobody for the connection."""
        return self.flow == self.Flow.WEB and self.system != self.System.MICROSOFT

    @property
    def has_certificate(self) -> bool:
        """Whether it proves who it is by a certificate with its private key, as Microsoft takes it."""
        return bool(self.secrets.get("private_key") and self.secrets.get("certificate"))

    @property
    def is_connected(self) -> bool:
        """Whether there are credentials to work with."""
        if self.system == self.System.MICROSOFT:
            return bool(self.secrets.get("client_id") and (self.secrets.get("client_secret") or self.has_certificate))
        needed = {
            "": ("password",) if self.system == self.System.EXCHANGE else ("api_key",),
            self.Flow.WEB: ("refresh_token",),
            self.Flow.JWT: ("client_id", "jwt_key"),
            self.Flow.SERVICE: ("service_account",),
        }
        names = needed.get(self.flow, ("client_id", "client_secret"))
        return all(self.secrets.get(name) for name in names)

    @property
    def refresh_expires_at(self) -> datetime | None:
        """When the refresh token dies if nobody uses it; None where that is not known."""
        is_known = self.system == self.System.OUTREACH and self.refresh_used_at
        return self.refresh_used_at + timedelta(days=REFRESH_TOKEN_DAYS) if is_known else None

    @property
    def secret_name(self) -> str:
        """What the secret is called that ends of itself."""
        if self.system == self.System.MICROSOFT and self.has_certificate:
            return "certificate"
        if self.system == self.System.EXCHANGE:
            return "password"
        return {"": "API key", self.Flow.JWT: "certificate", self.Flow.SERVICE: "service account key"}.get(self.flow, "client secret")

    @property
    def badges(self) -> list[dict[str, Any]]:
        """What everybody must see of it: played, on this machine, or less guarded than the rule (D36)."""
        is_here = (urlsplit(self.base_url).hostname or "") in LOOPBACK
        found = [("SANDBOX", "sandbox", "Played systems on this machine, over plain http.")] if self.is_sandbox or is_here else []
        if self.settings.get("least_tls") == "1.2":
            found.append(("TLS 1.2", "held", "An admin allowed TLS 1.2 here; the rule is 1.3."))
        if self.settings.get("allow_private"):
            found.append(("PRIVATE ADDRESS", "held", "An admin allowed addresses of a private network here."))
        return [{"text": text, "kind": kind, "why": why} for text, kind, why in found]

    def expiries(self, now: datetime) -> list[Expiry]:
        """Returns what will end of itself, soonest first."""
        found = []
        if self.secret_expires_on:
            found.append(
                Expiry(self, self.secret_name, self.secret_expires_on, (self.secret_expires_on - now.date()).days, SECRET_WARNING_DAYS)
            )
        if self.refresh_expires_at and self.is_connected:
            on = self.refresh_expires_at.date()
            found.append(Expiry(self, "refresh token", on, (on - now.date()).days, REFRESH_WARNING_DAYS))
        return sorted(found, key=lambda e: e.on)


# The ways to tokens among which an admin chooses, the shipped one first; the other systems have one way each.
FLOWS: dict[str, tuple[str, ...]] = {
    Connection.System.SALESFORCE: (Connection.Flow.WEB, Connection.Flow.JWT, Connection.Flow.APP),
    Connection.System.MICROSOFT: (Connection.Flow.APP, Connection.Flow.WEB),
    Connection.System.GOOGLE: (Connection.Flow.SERVICE, Connection.Flow.WEB),
}
