"""Where sockets may lead, how long a call may take, and what a broken TLS connection says of a write."""

import ipaddress
import socket
import ssl
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.errors import NeedsAttention, OutcomeUnknown, Unreachable
from connectors.http import HttpClient
from connectors.sockets import Reach
from tests.connectors.wire import answer, serving

PATH = "/api/v2/accounts"


def client(base_url, **options):
    return HttpClient("outreach", base_url, **{"allow_loopback": True, "timeout": 2, "sleep": lambda s: None, **options})


def post(http):
    return http.request("POST", PATH, template=PATH, is_read=False, json_body={"name": "Acme"})


def get(http, path=PATH):
    return http.request("GET", path, template=PATH, is_read=True)


@pytest.mark.parametrize(
    ("address", "public", "private", "loopback"),
    [
        ("93.184.216.34", True, True, True),
        ("2606:2800:220:1::1", True, True, True),
        ("10.0.0.8", False, True, False),
        ("192.168.1.1", False, True, False),
        ("fd00::1", False, True, False),
        ("127.0.0.1", False, False, True),
        ("::1", False, False, True),
        ("0.0.0.0", False, False, True),
        ("::", False, False, True),
        ("::ffff:127.0.0.1", False, False, True),
        ("::ffff:10.0.0.8", False, True, False),
        ("64:ff9b::10.0.0.8", False, True, False),
        ("2002:a00:8::1", False, True, False),
        ("169.254.169.254", False, False, False),
        ("fe80::1", False, False, False),
        ("224.0.1.1", False, False, False),
    ],
)
def test_a_socket_connects_only_where_the_connection_may_go(address, public, private, loopback):
    ip = ipaddress.ip_address(address)

    assert Reach().permits(ip) is public
    assert Reach(private=True).permits(ip) is private
    assert Reach(loopback=True).permits(ip) is loopback


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_name_that_leads_to_a_private_address_is_refused_before_anything_is_sent(monkeypatch, scheme):
    looked_up = []

    def resolve(host, port, *rest):
        looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.8", port))]

    monkeypatch.setattr("connectors.sockets.socket.getaddrinfo", resolve)
    http = client("http://localhost" if scheme == "http" else "https://api.outreach.example")

    with pytest.raises(NeedsAttention, match=r"10\.0\.0\.8") as caught:
        post(http)

    assert not caught.value.may_have_happened and len(looked_up) == 1


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch):
    with serving(lambda sock, request: sock.sendall(answer("{}"))) as port:
        answers = ["127.0.0.1", "10.0.0.8"]  # a name that is bound anew between two look-ups
        monkeypatch.setattr(
            "connectors.sockets.socket.getaddrinfo", lambda *a: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]
        )
        http = client(f"http://localhost:{port}")

        assert [get(http).status, get(http).status] == [200, 200]

    assert answers == ["10.0.0.8"]  # and a kept-alive call resolves nothing


def test_a_name_nobody_knows_was_certainly_not_done(monkeypatch):
    def resolve(*args):
        raise socket.gaierror("no such name")

    monkeypatch.setattr("connectors.sockets.socket.getaddrinfo", resolve)

    with pytest.raises(Unreachable):
        post(client("https://api.outreach.example"))


# What takes longer than this did not keep its deadline: each server below would hold its client three times as long. The
# deadlines themselves leave a busy machine the time to connect and send.
LATE_SECONDS = 10.0
DRIP_SECONDS, DRIPPED_BYTES = 0.05, 600


def drip(sock, data):
    for byte in data:
        sock.sendall(bytes([byte]))
        time.sleep(DRIP_SECONDS)


@pytest.mark.parametrize("dripped", ["headers", "body", "chunks"])
def test_a_server_that_drips_does_not_outlive_the_deadline(dripped):
    assert DRIP_SECONDS * DRIPPED_BYTES >= 3 * LATE_SECONDS

    def handle(sock, request):
        if dripped == "headers":
            drip(sock, answer("{}", headers="X-Long: " + "x" * DRIPPED_BYTES + "\r\n"))
        elif dripped == "body":
            sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {DRIPPED_BYTES}\r\n\r\n".encode())
            drip(sock, b"x" * DRIPPED_BYTES)
        else:
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            drip(sock, b"1\r\nx\r\n" * (DRIPPED_BYTES // 6))

    with serving(handle) as port:
        started = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="in time") as caught:
            post(client(f"http://127.0.0.1:{port}", timeout=1))

        assert caught.value.may_have_happened and time.monotonic() - started < LATE_SECONDS


def test_redirects_share_one_deadline_and_each_hop_is_guarded_and_counted():
    """Each hop takes a quarter of the time there is, so that none is late by itself."""

    def handle(sock, request):
        time.sleep(0.6)
        sock.sendall(answer("", status="307 Temporary Redirect", headers="Location: /again\r\n"))

    asked = []
    with serving(handle) as port:
        http = client(f"http://127.0.0.1:{port}", timeout=2.4, before_send=asked.append)
        with pytest.raises(OutcomeUnknown, match="in time"):
            post(http)

    assert 2 <= len(asked) == http.counts.calls and asked == sorted(asked, reverse=True) and asked[0] <= 2.4
    assert asked[0] - asked[1] >= 0.6  # what the first took is taken from the second


def test_a_hop_that_is_refused_by_the_lease_is_not_made():
    class LeaseLost(Exception):
        pass

    def guard(seconds):
        if http.counts.calls:
            raise LeaseLost

    with serving(lambda sock, request: sock.sendall(answer("", status="302 Found", headers="Location: /again\r\n"))) as port:
        http = client(f"http://127.0.0.1:{port}", before_send=guard)
        with pytest.raises(LeaseLost):
            post(http)

    assert http.counts.calls == 1


def test_a_reader_that_takes_nothing_does_not_hold_a_large_write():
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        started = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            client(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.5).request(
                "POST", PATH, template=PATH, is_read=False, json_body={"name": "x" * 20_000_000}
            )

    assert time.monotonic() - started < LATE_SECONDS  # for ever, else


@contextmanager
def raw(handle):
    """Serves one connection that speaks no HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=lambda: handle(listener.accept()[0]), daemon=True).start()
        yield listener.getsockname()[1]


# --- TLS ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path):
    """Returns the file of a certificate for 127.0.0.1 that signs itself, key included."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "certificate.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def trusted(certificate, monkeypatch):
    """Makes clients of this test trust the certificate; the context that all others share stays as it is."""
    context = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr("connectors.sockets._tls_context", lambda least: context)


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_tls_server_that_closes_after_our_write_leaves_it_in_doubt(tls, trusted):
    seen = []

    def handle(sock, request):
        seen.append(request)
        sock.close()

    with serving(handle, tls=tls) as port, pytest.raises(OutcomeUnknown) as caught:
        post(client(f"https://127.0.0.1:{port}"))

    assert b"Acme" in seen[0] and caught.value.may_have_happened


def test_a_tls_server_that_answers_is_read(tls, trusted):
    with serving(lambda sock, request: sock.sendall(answer('{"name": "Acme"}')), tls=tls) as port:
        assert post(client(f"https://127.0.0.1:{port}")).data == {"name": "Acme"}


def test_a_certificate_we_do_not_trust_needs_a_person_and_nothing_was_done(tls):
    seen = []
    with serving(lambda sock, request: seen.append(request), tls=tls) as port, pytest.raises(NeedsAttention, match="certificate") as caught:
        post(client(f"https://127.0.0.1:{port}"))

    assert not caught.value.may_have_happened and not seen


def test_a_server_without_tls_needs_a_person_and_one_that_hangs_up_was_never_reached():
    def handle(sock):
        with sock:
            sock.recv(1000)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with raw(handle) as port, pytest.raises(NeedsAttention):
        post(client(f"https://127.0.0.1:{port}"))
    with raw(lambda sock: sock.close()) as port, pytest.raises(Unreachable) as caught:
        post(client(f"https://127.0.0.1:{port}"))

    assert not caught.value.may_have_happened


def test_a_handshake_that_never_ends_was_not_done():
    over = Event()
    with raw(lambda sock: over.wait(3 * LATE_SECONDS)) as port:
        started = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            post(client(f"https://127.0.0.1:{port}", timeout=0.5))
        took = time.monotonic() - started
    over.set()

    assert not caught.value.may_have_happened and took < LATE_SECONDS
