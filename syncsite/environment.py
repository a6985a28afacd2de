"""Reads one setting at a time from the environment; `settings.py` calls it, nothing else does.

Each reader returns the checked value or raises `ImproperlyConfigured` with the variable's name and a sentence that
says what to write instead. django-environ does the reading; it takes "maybe" for false and reports "abc" without the
variable's name, hence the checks here.
"""

from collections.abc import Iterable
from email.utils import parseaddr
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}

env = environ.Env()


def refuse(name: str, sentence: str) -> NoReturn:
    raise ImproperlyConfigured(f"{name}: {sentence}")


def read_file(path: Path) -> None:
    """Adds the lines of `path` to the environment; a variable that is already set keeps its value."""
    if path.is_file():
        environ.Env.read_env(path)


def text(name: str, *, default: str = "") -> str:
    return str(env.str(name, default=default)).strip()


def required(name: str, *, sentence: str) -> str:
    return text(name) or refuse(name, f"is not set; {sentence}")


def flag(name: str, *, default: bool) -> bool:
    value = text(name, default="1" if default else "0").lower()
    if value not in TRUE | FALSE:
        refuse(name, f"{value!r} is neither on nor off; write 1 or 0.")
    return value in TRUE


def number(name: str, *, default: int, least: int, most: int) -> int:
    value = text(name, default=str(default))
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        refuse(name, f"{value!r} is not a whole number from {least} to {most}.")
    return int(value)


def choice(name: str, *, default: str, among: Iterable[str]) -> str:
    value = text(name, default=default)
    if value not in among:
        refuse(name, f"{value!r} is not one of {', '.join(among)}.")
    return value


def items(name: str) -> list[str]:
    return [item.strip() for item in text(name).split(",") if item.strip()]


def origins(name: str) -> list[str]:
    """Returns a list of `https://host[:port]`; browsers match origins exactly, so a path is a mistake."""
    found = items(name)
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}":
            refuse(name, f"{origin!r} is not an origin; write https://host without a path, several with commas between.")
    return found


def url(name: str, *, default: str, schemes: set[str]) -> str:
    value = text(name, default=default)
    if value:
        parts = urlsplit(value)
        if parts.scheme not in schemes or not (parts.hostname or parts.scheme in {"unix", "sqlite"}):
            refuse(name, f"this is not an address of the form {' or '.join(sorted(f'{s}://…' for s in schemes))}.")
    return value


def site(name: str, *, default: str, allow_http: bool) -> str:
    """Returns `https://host[:port]` without a path, for links in messages; plain http for this machine only."""
    value = text(name, default=default).rstrip("/")
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        is_origin = bool(parts.hostname) and value == f"{parts.scheme}://{parts.netloc}" and "@" not in value and parts.port != 0
    except ValueError:
        refuse(name, "this is not an address; write https://host without a path.")
    if not is_origin or parts.scheme not in ({"https", "http"} if allow_http else {"https"}):
        refuse(name, f"{value!r} is not the address of this site; write https://host without a path.")
    return value


MAIL_SCHEMES = {"smtp", "smtp+tls", "smtp+ssl"}
OWN_MACHINE = {"127.0.0.1", "localhost", "::1"}


def mail(name: str) -> dict[str, Any]:
    """Returns Django's EMAIL_ settings of the address `name`, {} when it is not set. What is wrong is said without the
    address, which holds the password."""
    value = text(name)
    if not value:
        return {}
    form = "write smtp+tls://user:password@host:587, smtp+ssl://… or smtp://…, with @ in the user as %40."
    try:
        parts = urlsplit(value)
        is_mail = parts.scheme in MAIL_SCHEMES and bool(parts.hostname) and parts.port != 0
        if not is_mail or parts.path not in ("", "/") or parts.query or parts.fragment:
            refuse(name, f"is not the address of a mail server; {form}")
        found = dict(env.email_url(name))
    except ValueError:
        refuse(name, f"cannot be read; {form}")
    ports = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}
    return {
        "EMAIL_HOST": str(found["EMAIL_HOST"]),
        "EMAIL_PORT": found["EMAIL_PORT"] or ports[parts.scheme],
        "EMAIL_HOST_USER": str(found["EMAIL_HOST_USER"] or ""),
        "EMAIL_HOST_PASSWORD": str(found["EMAIL_HOST_PASSWORD"] or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtp+ssl",
    }


def sender(name: str) -> str:
    """Returns the address that mails come from: a@example.com or Name <a@example.com>."""
    value = text(name)
    address = parseaddr(value)[1]
    try:
        validate_email(address)
    except ValidationError:
        refuse(name, f"{value!r} is not an address that mails could come from; write Syncsite <sync@example.com>.")
    return value


def database(name: str, *, default: str) -> dict[str, Any]:
    """Returns Django's settings of the database `name` describes: SQLite or PostgreSQL, no other."""
    url(name, default=default, schemes={"sqlite", "postgres", "postgresql"})
    try:
        return dict(env.db_url(name, default=default))
    except (ValueError, KeyError, ImproperlyConfigured):
        refuse(name, "cannot be read; write sqlite:///path or postgres://user:password@host:5432/name.")
