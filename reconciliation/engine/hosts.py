"""Where a connection may lead: the hosts that the site's settings allow for its system."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def host_of(address: str) -> str:
    """Returns the host that an address names, "" for what is no address."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def is_allowed_host(system: str, host: str) -> bool:
    """Tells whether a connection of the system may name this host: one of SYSTEM_HOSTS, or this machine in demonstrations."""
    if settings.ALLOW_LOOPBACK and host in LOOPBACK:
        return True
    names = settings.SYSTEM_HOSTS[system]
    return any(host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name for name in names)
