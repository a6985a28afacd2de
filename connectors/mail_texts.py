"""Keeps the texts of mails out of what is logged and shown: nobody but who they were shared with may read them (errors.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from connectors.errors import ConnectorError

WITHHELD = "(not kept: it may hold texts of mails)"
TOO_LONG = "its text is larger than what is read"


@contextmanager
def texts_withheld() -> Iterator[None]:
    """Takes them out of errors that leave: the exchange of a call that went well, and still is one, holds them."""
    try:
        yield
    except ConnectorError as error:
        withhold(error)
        raise


def withhold(error: ConnectorError) -> None:
    exchange = error.exchange
    if exchange is not None and exchange.status < 300:
        error.exchange = replace(exchange, response_body=WITHHELD)
