"""A mail server and a webhook's receiver on 127.0.0.1: real sockets, and answers on request."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class MailServer:
    """What arrived, and how the server answers. `refuses` maps a command (or an address) to the answer it gets."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    connections: int = 0

    def texts(self) -> list[str]:
        return [mail.get_content() for mail in self.mails]

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]).strip() for mail in self.mails]


@contextmanager
def mail_server(port: int = 0) -> Iterator[MailServer]:
    box = MailServer()

    class Session(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            box.connections += 1
            if "CONNECT" in box.refuses:
                return self.say(box.refuses["CONNECT"])
            self.say("220 test mail server")
            to: list[str] = []
            while line := self.rfile.readline():
                text = line.decode().strip()
                verb = text.split(":")[0].split(" ")[0].upper()
                address = text.partition("<")[2].partition(">")[0]
                refusal = box.refuses.get(verb) or box.refuses.get(address)
                if verb == "QUIT":
                    return self.say("221 bye")
                if refusal:
                    self.say(refusal)
                elif verb == "RCPT":
                    to.append(address)
                    self.say("250 ok")
                elif verb == "DATA":
                    self.say("354 go on")
                    raw = b""
                    while (part := self.rfile.readline()) != b".\r\n":
                        raw += part[1:] if part.startswith(b"..") else part
                    box.mails.append(message_from_bytes(raw, policy=policy.default))
                    box.recipients += to
                    to = []
                    self.say("250 taken")
                elif verb == "EHLO":
                    self.say("250-test")
                    self.say("250 8BITMIME")
                else:
                    self.say("250 ok")

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), Session) as server:
        server.daemon_threads = True
        box.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield box
        server.shutdown()
        thread.join()


@dataclass
class Receiver:
    """A chat's webhook: (headers, raw body) of each call, and what it answers."""

    url: str = ""
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    status: int = 200
    body: bytes = b"ok"
    location: str = ""


@contextmanager
def webhook_receiver() -> Iterator[Receiver]:
    box = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            box.calls.append(({**dict(self.headers), "path": self.path}, raw))
            self.send_response(box.status)
            if box.location:
                self.send_header("Location", box.location)
            self.send_header("Content-Length", str(len(box.body)))
            self.end_headers()
            self.wfile.write(box.body)

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    box.url = f"http://127.0.0.1:{server.server_address[1]}/services/T0/B0/hidden-part?sig=also-hidden"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield box
    server.shutdown()
    server.server_close()
    thread.join()
