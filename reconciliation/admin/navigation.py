"""The navigation of every page: jobs first, what is set up once folded at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import reverse

from reconciliation.roles import ADMINISTER, OPERATE, OWN_MAILBOX, VIEW


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of the navigation. It is current on every address that begins with its own or with one of `also`."""

    title: str
    page: str
    permission: str = VIEW
    also: tuple[str, ...] = ()
    queue: str = ""  # the kind of case whose open ones are counted beside it


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as one person sees it on one page."""

    title: str
    address: str
    is_current: bool
    waiting: str


@dataclass(frozen=True, slots=True)
class Navigation:
    """`links` stand in a row; `settings`, which most people never need, in a menu after them."""

    links: list[Link]
    settings: list[Link]


LINKS = (
    Entry("Dashboard", "index"),
    Entry("Runs", "run_list", also=("/events/",)),
    Entry("Duplicates", "duplicate_list", queue="duplicate"),
    Entry("Conflicts", "conflict_list", queue="conflict"),
    Entry("Errors", "error_list", queue="error"),
    Entry("Prospects", "prospect_list", queue="remap"),
    Entry("Imports", "import_list"),
    Entry(
        "Mailboxes",
        "mailbox_list",
        also=("/contacts/", "/unknown-people/", "/made-people/", "/blocklist/", "/own-domains/"),
        queue="contact",
    ),
    Entry(
        "Records",
        "record_list",
        also=("/coverage/", "/differences/", "/without-owner/", "/incomplete/", "/activities/", "/items/", "/emails/", "/deleted/"),
    ),
    Entry("Journal", "journal"),
    Entry("Mappings", "mapping_list", queue="mapping"),
    Entry("Connections", "connection_list", ADMINISTER),
    Entry("Alerts", "alerts"),
)
SETTINGS = (
    Entry("Set-up", "setup", ADMINISTER),
    Entry("Schedule", "schedule", ADMINISTER),
    Entry("Dedupe policy", "dedupe_policy"),
    Entry("Record types", "record_types"),
    Entry("User pairs", "user_pair_list", OPERATE),
    Entry("Insta-sync", "insta_sync"),
    Entry("Data kept", "retention", ADMINISTER, also=("/forget/",)),
    Entry("Transfer", "transfer", ADMINISTER),
    Entry("Users", "auth_user_changelist", "auth.view_user"),
    Entry("Roles", "auth_group_changelist", "auth.view_group"),
    Entry("Log-ins", "log_ins", ADMINISTER),
    Entry("Audit", "audit", ADMINISTER),
)


def navigation_of(request: HttpRequest, open_cases: Mapping[str, str]) -> Navigation:
    """Returns what the person of the request may open. `open_cases` maps kinds of cases to counts as people read them."""
    return Navigation(_links(request, LINKS, open_cases), _links(request, SETTINGS, open_cases))


def own_navigation(request: HttpRequest) -> Navigation:
    """Returns what somebody may open who sees their own mailbox and nothing else."""
    return Navigation(_links(request, (Entry("My mailbox", "my_mailbox", OWN_MAILBOX),), {}), [])


def _links(request: HttpRequest, entries: tuple[Entry, ...], open_cases: Mapping[str, str]) -> list[Link]:
    seen = (entry for entry in entries if request.user.has_perm(entry.permission))
    return [Link(e.title, reverse(f"admin:{e.page}"), _is_current(request, e), open_cases.get(e.queue, "")) for e in seen]


def _is_current(request: HttpRequest, entry: Entry) -> bool:
    own, root = reverse(f"admin:{entry.page}"), reverse("admin:index")
    if own == root:
        return request.path == own
    return request.path.startswith((own, *(f"{root}{path[1:]}" for path in entry.also)))
