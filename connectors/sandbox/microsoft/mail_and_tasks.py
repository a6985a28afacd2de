"""Mail, To Do and change notifications of one tenant, put together: who answers what, and whose records people see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from connectors.sandbox.microsoft.attachments import Attachments
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.delta import Delta
from connectors.sandbox.microsoft.mail_by_hand import MailByHand
from connectors.sandbox.microsoft.mail_folders import MailFolders
from connectors.sandbox.microsoft.mail_store import MailStore
from connectors.sandbox.microsoft.message_delta import MessageDelta
from connectors.sandbox.microsoft.message_view import MessageView
from connectors.sandbox.microsoft.messages import Messages
from connectors.sandbox.microsoft.notices import Notices
from connectors.sandbox.microsoft.sending import Sending
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.subscriptions import Subscriptions
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.todo import Todo
from connectors.sandbox.microsoft.todo_by_hand import TodoByHand
from connectors.sandbox.microsoft.todo_store import TodoStore
from connectors.sandbox.microsoft.users import Users

Route = Callable[[Call, Row, list[str]], Answer]


class ByHand(Protocol):
    """The records of one type as people see them."""

    def find(self, text: str) -> int | None: ...

    def shown(self, row: Row) -> dict[str, Any]: ...

    def create(self, given: Mapping[str, Any]) -> Row: ...

    def update(self, row: Row, given: Mapping[str, Any]) -> Row: ...

    def delete(self, row: Row) -> None: ...


class MailAndTasks:
    """The parts, and what the system asks of them. `routes` are by the first word below a mailbox, `by_hand` by record type."""

    def __init__(self, store: Store, users: Users, delta: Delta, *, tenant: str, app: str, now: Callable[[], datetime], seed: int) -> None:
        self.mail, self.todo = MailStore(store), TodoStore(store)
        self.notices = Notices(store, self.mail, self.todo, tenant=tenant, now=now, seed=seed)
        self.subscriptions = Subscriptions(
            store, users, mail=self.mail, todo_store=self.todo, notices=self.notices, app=app, now=now
        )  # fmt: skip
        attachments, sending = Attachments(store, self.mail), Sending(store, self.mail)
        view = MessageView(store, self.mail, attachments)
        messages = Messages(
            store, self.mail, view, attachments=attachments, sending=sending, delta=MessageDelta(self.mail, delta, view)
        )  # fmt: skip
        folders = MailFolders(store, self.mail, messages)
        todo = Todo(store, self.todo, delta, now=now)
        self.messages_by_hand = MailByHand(store, self.mail, sending)
        self.routes: dict[str, Route] = {
            "mailFolders": folders.answer, "messages": folders.messages, "sendMail": messages.send, "todo": todo.answer,
        }  # fmt: skip
        self.by_hand: dict[str, ByHand] = {"message": self.messages_by_hand, "task": TodoByHand(store, self.todo, todo)}
