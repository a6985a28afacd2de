"""The words of alerts and digests: plain text, links, and no value of any record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciliation.core.counting import counted

SUBJECT = "Syncsite"
LONGEST_SUBJECT = 150
COMES_BACK = "Should it come back within a day of the first message, the dashboard says so, and a message follows after that day."


@dataclass(frozen=True, slots=True)
class Words:
    """One message."""

    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class PassLine:
    """One pass in a digest; instants are words in the reader's zone."""

    title: str
    state: str
    last_run: str
    link: str


@dataclass(frozen=True, slots=True)
class Digest:
    """What a digest says; each pair is (words, link)."""

    day: str
    standing: Sequence[tuple[str, str]] = ()
    queues: Sequence[tuple[str, str]] = ()
    passes: Sequence[PassLine] = ()
    runs: int = 0
    created: int = 0
    updated: int = 0
    duplicates: int = 0
    failed: int = 0
    connections: Sequence[str] = ()


def one_line(text: str) -> str:
    """Returns text that fits a subject: one line, nothing invisible, not too long."""
    visible = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(visible.split())
    return line if len(line) <= LONGEST_SUBJECT else f"{line[: LONGEST_SUBJECT - 1]}…"


def opened(title: str, sentence: str, *, since: str, link: str, settings_link: str, is_again: bool = False) -> Words:
    """Returns the message of a cause that stands; once a day while it does."""
    subject = one_line(f"{SUBJECT}: {title}{' (still)' if is_again else ''}")
    body = _body([f"{title}.", sentence, f"Since {since}."], link, settings_link)
    return Words(subject, f"{body}\nYou are told once a day while this lasts, and once when it is over.\n")


def cured(cure: str, title: str, *, since: str, until: str, link: str, settings_link: str) -> Words:
    """Returns the message of a cause that is over."""
    subject = one_line(f"{SUBJECT}: {cure}")
    body = _body([f"{cure}.", f"It was: {title}, from {since} to {until}. There is nothing to do."], link, settings_link)
    return Words(subject, f"{body}\n{COMES_BACK}\n")


def trial(*, link: str, settings_link: str) -> Words:
    """Returns the test message."""
    body = _body(["This is the test message that was asked for. Messages arrive."], link, settings_link)
    return Words(f"{SUBJECT}: a test message", body)


def sign_in(link: str, address: str, *, hours: int) -> Words:
    """Returns the mail that brings a mailbox user the link to their own page."""
    lines = [
        f"This link opens the page of your mailbox {address}, where you see how its sync with Salesforce stands and change its settings:",
        "",
        link,
        "",
        f"It works once, within {counted(hours, 'hour')}. Nobody but you should use it; an admin can send you another one at any time.",
        "If you expected no such mail, do nothing: without the link nothing happens.",
    ]
    return Words(one_line(f"{SUBJECT}: your link to sign in"), "\n".join(lines))


def digest(facts: Digest, *, link: str, settings_link: str) -> Words:
    """Returns the daily digest."""
    lines = [f"Syncsite on {facts.day}"]
    lines += _section("What needs a person:", [f"{words}{_at(where)}" for words, where in facts.standing], "Nothing is out of order.")
    lines += _section("Queues:", [f"{words}{_at(where)}" for words, where in facts.queues], "All queues are empty.")
    counts = f"{facts.created:,} created, {facts.updated:,} updated, {counted(facts.duplicates, 'duplicate')}, {facts.failed:,} failed"
    lines += ["", f"The last 24 hours: {counted(facts.runs, 'run')}; {counts}."]
    lines += [f"- “{p.title}” is {p.state}; last run {p.last_run}{_at(p.link)}" for p in facts.passes]
    lines += _section("Connections:", facts.connections, "No system is connected.")
    attention = f": {len(facts.standing)} to look at" if facts.standing else ""
    return Words(one_line(f"{SUBJECT}: {facts.day}{attention}"), "\n".join(lines) + _foot(link, settings_link))


def _section(title: str, lines: Sequence[str], otherwise: str) -> list[str]:
    return ["", title, *(f"- {line}" for line in lines)] if lines else ["", otherwise]


def chat(words: Words) -> str:
    """Returns the message as a chat shows it. Signs that chats take for markup (<!channel>) become harmless ones."""
    return f"{words.subject}\n{words.body}".strip().replace("<", "‹").replace(">", "›").replace("@", "@\u2060")


def _body(lines: Sequence[str], link: str, settings_link: str) -> str:
    return "\n".join(lines) + _foot(link, settings_link)


def _foot(link: str, settings_link: str) -> str:
    parts = [f"Look: {link}"] if link else []
    parts += [f"What you are told: {settings_link}"] if settings_link else []
    return "\n\n" + "\n".join(parts) + "\n" if parts else "\n"


def _at(link: str) -> str:
    return f"\n  {link}" if link else ""
