"""Whether a connection to a mail system reaches a mailbox: the line of its test that no permission list can stand for."""

from __future__ import annotations

from connectors.contract import Check, Connector
from connectors.errors import ConnectionTrouble, ConnectorError, MailboxRefused, NeedsAttention
from reconciliation.models import Connection, Mailbox
from reconciliation.passes.contacts import FOLDER

NAME = "One mailbox"
UNKNOWN = Check(
    NAME,
    True,
    "No mailbox was added yet, so it was not tried whether one can be reached.",
    "Add one under Mailboxes, then test again.",
    is_warning=True,
)


def one_mailbox(connection: Connection, connector: Connector) -> list[Check]:
    """Returns a line about the first mailbox that is synced: whether its contacts can be reached. Nothing where each user connects
    their own mailbox: the test of each says it. Writes nothing there."""
    if connection.is_personal:
        return []
    address = (
        Mailbox.objects.filter(connection=connection, state__in=Mailbox.RUNNING).order_by("pk").values_list("address", flat=True).first()
    )
    if address is None:
        return [UNKNOWN]
    try:
        connector.mailbox(address).folders(FOLDER)  # type: ignore[attr-defined]  # of mail systems alone
    except MailboxRefused as error:  # it says nothing of the others
        advice = "Test this mailbox on its own page; others may work."
        return [Check(NAME, True, f"{address} cannot be reached: {error.sentence}.", advice, is_warning=True)]
    except ConnectorError as error:
        passes = isinstance(error, ConnectionTrouble) and not isinstance(error, NeedsAttention)
        return [Check(NAME, False, f"{address} cannot be reached: {error.sentence}.", error.remedy, passes=passes)]
    return [Check(NAME, True, f"{address} can be reached, and its folders of contacts can be read.")]
