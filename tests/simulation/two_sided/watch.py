"""Looks at every write of ours where it arrives, in the played systems: nothing of ours has a say in what is counted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.two_sided.people import People, text_of
from tests.simulation.two_sided.wire import Wire


@dataclass
class Watch:
    """What our writes did. `writes` counts them by (side, id, names of fields)."""

    people: People
    wire: Wire
    broken: list[str]
    writes: Counter[tuple[str, str, tuple[str, ...]]] = field(default_factory=Counter)
    run_began: int = 0  # the call at which the present run began
    run_began_at: float = 0.0  # seconds

    def __post_init__(self) -> None:
        self._watch_outreach()
        self._watch_salesforce()

    def _watch_outreach(self) -> None:
        system = self.people.world.outreach
        create, update, delete = system._create, system._update, system._delete

        def created(resource: Any, values: Any, *, is_user: bool = False) -> Any:
            if not is_user and resource.type == self.people.cast.peer_type:
                self._second_peer(values)
            made = create(resource, values, is_user=is_user)
            if not is_user:
                self.writes["peer", str(made["id"]), ()] += 1
                self.people.log.append(
                    f"  call {self.wire.calls}: we make {resource.type} {made['id']} for {made.get(self.people.cast.pointer)}"
                )
            return made

        def updated(resource: Any, id_: int, values: Any, *, is_user: bool = False) -> Any:
            before = system.tables[resource.collection].records[id_]
            if is_user:
                return update(resource, id_, values, is_user=is_user)
            given = dict(values)
            after = update(resource, id_, values, is_user=is_user)
            self._look_at("peer", str(id_), {n: before.get(n) for n in given}, given, self.wire.last_read.get(("outreach", str(id_)), 0))
            return after

        def deleted(resource: Any, id_: int) -> Any:
            self.deleted(resource.type, str(id_))
            return delete(resource, id_)

        system._create, system._update = created, updated  # type: ignore[method-assign]
        system._delete = deleted  # type: ignore[method-assign]
        remove = system.delete_record

        def removed(object_type: str, id_: int) -> None:
            system._delete = delete  # type: ignore[method-assign]
            try:
                remove(object_type, id_)
            finally:
                system._delete = deleted  # type: ignore[method-assign]

        system.delete_record = removed  # type: ignore[method-assign]

    def _watch_salesforce(self) -> None:
        records = self.people.world.salesforce.records
        create, update, delete = records.create, records.update, records.delete

        def created(object_name: str, given: Any, writer: Any) -> Any:
            made = create(object_name, given, writer)
            if not writer.is_person and object_name in self.people.cast.crm_types:
                self.writes["crm", made["Id"], ()] += 1
                self.people.log.append(f"  call {self.wire.calls}: we make {object_name} {made['Id']} for {made.get('Sync_Key__c')}")
                self._second_person(object_name, made)
            return made

        def updated(object_name: str, id_: str, given: Any, writer: Any) -> Any:
            before = dict(records.tables[object_name].rows[id_])
            after = update(object_name, id_, given, writer)
            if not writer.is_person and object_name in self.people.cast.crm_types:
                old = {n: before.get(n, False if n in self.people.cast.consent else None) for n in given}
                self._look_at("crm", id_, old, given, self.wire.last_read.get(("salesforce", id_), 0))
            return after

        def deleted(object_name: str, id_: str, writer: Any) -> Any:
            if not writer.is_person:
                self.deleted(object_name, id_)
            return delete(object_name, id_, writer)

        records.create, records.update = created, updated  # type: ignore[method-assign]
        records.delete = deleted  # type: ignore[method-assign]

    def deleted(self, object_type: str, id_: str) -> None:
        self.broken.append(f"I8: we deleted {object_type} {id_}")

    def _look_at(self, side: str, id_: str, old: dict[str, Any], given: dict[str, Any], read_at: int) -> None:
        self.writes[side, id_, tuple(sorted(given))] += 1
        shown = json.dumps({n: [old[n], given[n]] for n in given}, ensure_ascii=False)
        self.people.log.append(f"  call {self.wire.calls}: we write {side} {id_} {shown}")
        cast = self.people.cast
        opt_outs = {*cast.consent, *cast.consent.values()}
        fresh = {v for v, t in self.people.typed.items() if t.id == id_ and t.call >= read_at and not t.is_replaced}
        for name, value in given.items():
            before = text_of(old, name)
            # Salesforce tells of every edit since our read, but for one within the same second (engine-rules 31).
            is_told = side == "crm" and before in fresh and int(self.people.typed[before].at) > int(self.wire.read_at.get(id_, 0))
            if is_told and value != old[name]:
                self.broken.append(f"31: {name} = {before!r} of {side} {id_} was overwritten although its version told of it")
            if before in fresh and not is_told:
                self.people.typed[before].window = f"typed at call {self.people.typed[before].call}, read at {read_at}"
            if _is_same(old[name], value) and before not in fresh and not self._was_touched(id_, read_at):
                self.broken.append(f"I2: {side} {id_} was sent {name} = {value!r} unchanged")
            if name in opt_outs and old[name] is True and value is not True:
                self.broken.append(f"consent: {side} {id_} was sent {name} = {value!r} although the person opted out")

    def _was_touched(self, id_: str, read_at: int) -> bool:
        """Tells whether somebody changed the record after our last read: what was sent then may be there by chance."""
        return self.people.touched.get(id_, -1) >= read_at

    def _second_peer(self, values: dict[str, Any]) -> None:
        """A record was made for one that the peer's side holds already, or could have been found by its key."""
        cast, peers = self.people.cast, self.people.peers()
        ours = [p for p in peers if p.get(cast.pointer) and p[cast.pointer] == values.get(cast.pointer)]
        if ours:
            self.broken.append(f"I3: a second {cast.peer_type} was made for {values[cast.pointer]} beside {ours[0]['id']}")
        keys = cast.keys_of(cast.peer_type, values)
        for row in peers:
            if keys & cast.keys_of(cast.peer_type, row) and self._could_be_found(str(row["id"])):
                self.broken.append(f"I3: {cast.peer_type} {sorted(keys)} was made although {row['id']} is there")

    def _could_be_found(self, id_: str) -> bool:
        """Tells whether no user changed it since the run began, nor so shortly before that searches may still miss that."""
        return max(self.people.edited.get(id_, (0.0,))) + self.wire.weather.lag < self.run_began_at

    def _second_person(self, object_name: str, made: dict[str, Any]) -> None:
        """A record was made for a person whom we could have found: one with the key was there when the run began."""
        keys = self.people.cast.keys_of(object_name, made)
        for type_ in self.people.cast.crm_types:
            for row in self.people.living(type_):
                is_same = row["Id"] != made["Id"] and keys & self.people.cast.keys_of(type_, row)
                if is_same and self.people.touched.get(row["Id"], 0) < self.run_began:
                    self.broken.append(f"I3: {object_name} {made['Id']} was made although {type_} {row['Id']} has {sorted(keys)}")


def _is_same(old: Any, new: Any) -> bool:
    blank = (None, "", [], ())
    return (old in blank and new in blank) or old == new
