"""The contacts of one Google mailbox as a `ContactBox`. The label "Salesforce Contacts" is the folder, the label "Salesforce"
the category (engine-rules 37)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from connectors.checks import Try, run_checks
from connectors.contract import Check, Record, Ref, Schema, Write, WriteResult
from connectors.errors import NeedsAttention
from connectors.google.box import GoogleBox
from connectors.google.changes import CONNECTIONS, Rounds
from connectors.google.client import GoogleClient
from connectors.google.codec import LISTED, foreign_id, read_contact
from connectors.google.directory import own_addresses
from connectors.google.labels import LabelBook
from connectors.google.persons import Persons
from connectors.google.settings import GoogleSettings
from connectors.google.tokens import GoogleTokens
from connectors.google.writer import Writer
from connectors.http import HttpClient
from connectors.mailbox_base import NoSweeps
from connectors.mailboxes import CATEGORIES, CONTACT_SCHEMA, FOREIGN_ID, PLACE, ContactChanges, Folder, write_or_bring_in

TOLD_OF_ALL = {PLACE, CATEGORIES, FOREIGN_ID}  # what the list of all contacts tells, of personal ones too


class GoogleMailbox(NoSweeps, GoogleBox):
    """One mailbox."""

    marker_field = FOREIGN_ID

    def __init__(
        self,
        address: str,
        http: HttpClient,
        tokens: GoogleTokens,
        settings: GoogleSettings,
        *,
        page_address_template: str = "",
        settle_seconds: int = 0,
    ) -> None:
        client = GoogleClient(http, tokens, settings, address)
        super().__init__(address, http, client, settings, settle_seconds=settle_seconds, page_address_template=page_address_template)
        self._tokens = tokens
        self._labels = LabelBook(self._client)
        self._persons = Persons(self._client, settings)
        self._rounds = Rounds(self._client, self._persons, self._labels, settings)
        self._writer = Writer(self._client, self._persons, self._labels, settings)

    # --- labels ---------------------------------------------------------------------------------------------------------

    def use_folder(self, folder_id: str, category: str) -> None:
        self._labels.use(folder_id, category)

    def folders(self, name: str) -> list[Folder]:
        return self._labels.folders(name)

    def make_folder(self, name: str) -> Folder:
        return self._labels.make(name)

    def make_category(self, name: str) -> None:
        self._labels.make(name)

    # --- reading --------------------------------------------------------------------------------------------------------

    def contact_changes(self, cursor: str, columns: Sequence[str]) -> ContactChanges:
        """As the contract says. Every field is read whatever `columns` names: an update must know the lists as a whole. Google
        does not tell which contact left: whoever is changed and lies outside is among the `gone`, too, and a deleted one is
        among both kinds of gone."""
        return self._rounds.page(cursor)

    def read(self, object_type: str, ids: Sequence[str], columns: Sequence[str]) -> list[Record]:
        """As the contract says. A contact that has another id by now is returned under the one it was asked for by: it is not
        gone, and a later page of changes tells the new one."""
        is_listed = bool(columns) and set(columns) <= TOLD_OF_ALL  # of personal contacts nothing else is read (I7)
        found = self._persons.read(ids, LISTED) if is_listed else self._persons.read(ids)
        self._labels.ensure()
        view, key = self._labels.view, self._settings.client_data_key
        records = [read_contact(person, view, key=key, id_=id_) for id_, person in found.items()]
        return [replace(r, fields={name: r.fields[name] for name in columns}) for r in records] if is_listed else records

    def find_marked(self, object_type: str, markers: Sequence[str], columns: Sequence[str], *, since: datetime) -> list[Record]:
        """As the contract says. Markers cannot be searched for, so every contact is listed, and those of ours are read."""
        wanted, key = set(markers) - {""}, self._settings.client_data_key
        if not wanted:
            return []
        ids = [str(person["resourceName"]) for person in self._rounds.everybody() if foreign_id(person, key) in wanted]
        records = self.read(object_type, ids, columns) if ids else []
        return [record for record in records if record.fields[FOREIGN_ID] in wanted]

    # --- writing --------------------------------------------------------------------------------------------------------

    def batch_size(self, object_type: str, *, is_create: bool) -> int:
        return self._settings.write_size

    def write(self, object_type: str, writes: Sequence[Write]) -> list[WriteResult]:
        return write_or_bring_in(writes, self._writer.write, self.bring_in)

    def bring_in(self, id_: str, marker: str) -> Record:
        """As the contract says. Nothing moves here: the contact gets both labels and the marker, and keeps its id."""
        return self._writer.bring_in(id_, marker)

    # --- the mailbox itself ---------------------------------------------------------------------------------------------

    def schema(self, object_type: str) -> Schema:
        return CONTACT_SCHEMA

    def check_mailbox(self) -> list[Check]:
        few = [("personFields", "metadata"), ("pageSize", "1")]
        tries = [
            Try("Log-in", f"Google lets us act for {self.address}.", self._tokens.current),
            Try("Contacts", "The contacts can be read.", lambda: self._client.get(CONNECTIONS, few)),
            Try("Labels", "The labels can be read.", self._labels.load),
        ]
        if self._tokens.reconnects:  # a service account names its user itself
            tries.append(Try("Whose contacts", f"They are those of {self.address}.", self._whose))
        return run_checks(tries)

    def _whose(self) -> Check | None:
        """Returns the line about whose account was connected, None when it is the right one."""
        name = "Whose contacts"
        try:
            addresses = own_addresses(self._client)
        except NeedsAttention as refusal:  # only the address is kept from us
            return Check(name, True, f"Could not be told: {refusal.sentence}.", is_warning=True)
        if not addresses:
            return Check(name, True, f"Google does not say whether they are those of {self.address}.", is_warning=True)
        if self.address in addresses:
            return None
        remedy = f"Connect again, and choose the account {self.address} on Google's page."
        return Check(name, False, f"These are the contacts of {addresses[0][:100]}, and not of {self.address}.", remedy)

    def owner_addresses(self) -> list[str]:
        """As the contract says; nobody where the consent keeps the address from us."""
        try:
            return own_addresses(self._client)
        except NeedsAttention:
            return []

    def keep_alive(self) -> None:
        self._tokens.keep_alive()

    def web_url(self, ref: Ref) -> str:
        return self._template.replace("{id}", ref.id.removeprefix("people/"))

    def close(self) -> None:
        """Closes the sockets and forgets the contacts."""
        self._persons.forget()
        super().close()
