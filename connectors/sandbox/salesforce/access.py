"""Who may do what with a record: by the user's profile, by ownership, and by what the organisation shares with everybody.
Computed from the switches whenever it is asked, never stored. There are no roles, teams or sharing rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.sandbox.salesforce import ids
from connectors.sandbox.salesforce.objects import GOVERNED
from connectors.sandbox.salesforce.refusal import Refused, not_found
from connectors.sandbox.salesforce.schema import BY_PREFIX, OBJECTS, SObject
from connectors.sandbox.salesforce.switches import Switches
from connectors.sandbox.salesforce.table import Row, Table

Tables = Mapping[str, Table]
# Whoever may modify all data unless a switch says otherwise: the app's user and the administrator, who are made first.
FIRST_USERS = tuple(ids.make(OBJECTS["User"].prefix, number) for number in (1, 2))


def governing(tables: Tables, object_name: str, row: Row) -> tuple[str, Row]:
    """Returns the object and the row whose sharing decides about a record: its own, or those of what it hangs on."""
    while object_name in GOVERNED:
        id_ = str(row.get(GOVERNED[object_name], ""))
        target = BY_PREFIX.get(id_[:3])
        parent = tables[target.name].rows.get(id_) if target else None
        if target is None or parent is None:
            return object_name, {**row, "OwnerId": row["CreatedById"]}  # an e-mail that no task belongs to yet
        object_name, row = target.name, parent
    return object_name, row


@dataclass(frozen=True, slots=True)
class Rights:
    """What a user may do with one record."""

    read: bool = False
    edit: bool = False
    delete: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """What one user may do as the switches stand now. `is_active`: who left may do nothing."""

    user: str
    is_active: bool
    switches: Switches

    @property
    def is_read_only(self) -> bool:
        return self.user in self.switches.read_only_users

    @property
    def has_all(self) -> bool:
        """Tells whether sharing does not bind this user."""
        given = self.switches.modify_all_users
        return self.user in (FIRST_USERS if given is None else given)

    def owns(self, row: Row) -> bool:
        """Tells whether the user may do with a record what its owner may."""
        return self.has_all or row.get("OwnerId") == self.user

    @property
    def hides_rows(self) -> bool:
        """Tells whether there may be records that this user does not see."""
        return not self.has_all and (self.switches.sharing == "private" or self.switches.accountless_contacts_private)

    def may_read(self, object_name: str, row: Row) -> bool:
        """Tells whether sharing lets the user see a record. What nobody owns (a user) is everybody's."""
        if "OwnerId" not in row or self.owns(row):
            return True
        if self.switches.accountless_contacts_private and object_name == "Contact" and not row.get("AccountId"):
            return False
        return self.switches.sharing != "private"

    def of(self, object_: SObject, row: Row) -> Rights:
        """Returns the rights to a record of an object as the API shows it."""
        if not self.is_active or not self.may_read(object_.name, row):
            return Rights()
        is_own = self.owns(row)
        edits = is_own or self.switches.sharing == "public_read_write"
        writes = not self.is_read_only
        # What is shared with everybody to edit is still deleted, and given away, by its owner only.
        return Rights(True, writes and edits and "u" in object_.rights, writes and is_own and "d" in object_.rights)

    # --- what is refused ----------------------------------------------------------------------------------------------
    def check_object(self, object_: SObject, right: str) -> None:
        """Raises Refused where the profile does not give this right: c create, u update, d delete."""
        if right not in object_.rights or self.is_read_only:
            raise self._read_only()

    def check_row(self, object_: SObject, row: Row, right: str, *, gives_away: bool = False) -> None:
        """Raises Refused where the user may not change (u) or delete (d) this record, or not give it to another owner."""
        rights = self.of(object_, row)
        if not rights.read:
            raise self._invisible()
        if not (rights.delete if right == "d" else rights.edit) or (gives_away and not self.owns(row)):
            raise self._read_only()

    def check_parent(self, object_name: str, row: Row) -> None:
        """Raises Refused where a record would point to one that the user does not see."""
        if not self.may_read(object_name, row):
            raise self._no_right_there()

    def _read_only(self) -> Refused:
        status = self.switches.no_access_status
        return Refused(status, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", [])

    def _invisible(self) -> Refused:
        return not_found() if self.switches.invisible_row_code == "NOT_FOUND" else self._no_right_there()

    def _no_right_there(self) -> Refused:
        told = "insufficient access rights on cross-reference id"
        return Refused(self.switches.no_access_status, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", told, [])
