"""Threads that connect at once do not take each other's words away."""

import ssl
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from urllib3.util.ssl_ import ALPN_PROTOCOLS, ssl_wrap_socket

from fluxlab.clusters.kubeconfig import Access
from fluxlab.clusters.tls import SharedContext, client_context

ANYBODY = Access(server="https://127.0.0.1:1", authority=None, verified=False)
NAMED = b"\x00\x10\x00\x0b\x00\x09\x08http/1.1"
"""The protocols in a client's first message (RFC 7301, 3.1)."""


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def first_message(context: ssl.SSLContext) -> bytes:
    """What a client says first, after urllib3's preparation."""
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.usefixtures("hasty")
def test_what_each_of_many_threads_says_first_is_whole() -> None:
    context, broken, until = client_context(ANYBODY), list[bytes](), time.monotonic() + 1

    def connect() -> None:
        while time.monotonic() < until:
            said = first_message(context)
            if NAMED not in said:
                broken.append(said)

    threads = [threading.Thread(target=connect) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken


def test_openssl_is_told_of_protocols_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = list[tuple[str, ...]]()
    context = client_context(ANYBODY)
    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", lambda _, names: told.append(tuple(names)))
    for _ in range(3):
        context.set_alpn_protocols(ALPN_PROTOCOLS)
    assert not told
    context.set_alpn_protocols(["h2"])
    assert told == [("h2",)]


def test_urllib3_names_the_protocols_on_the_context_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it did not any more, nothing here would be needed."""
    named = list[object]()
    monkeypatch.setattr(SharedContext, "set_alpn_protocols", lambda _, names: named.append(names))
    monkeypatch.setattr(SharedContext, "wrap_socket", lambda *_, **__: None)
    unused: object = None
    ssl_wrap_socket(unused, ssl_context=SharedContext(ssl.PROTOCOL_TLS_CLIENT))  # type: ignore[call-overload]
    assert named == [ALPN_PROTOCOLS]


@pytest.mark.parametrize("verified", [True, False])
def test_whom_to_trust_is_the_owners_to_say(*, verified: bool) -> None:
    context = client_context(Access(server="https://127.0.0.1:1", authority=None, verified=verified))
    assert context.check_hostname is verified
    assert context.verify_mode is (ssl.CERT_REQUIRED if verified else ssl.CERT_NONE)


def test_certificates_are_checked_as_strictly_as_python_does_by_default() -> None:
    context, usual = client_context(Access(server="https://127.0.0.1:1", authority=None)), ssl.create_default_context()
    assert context.verify_flags == usual.verify_flags
    assert (context.options, context.minimum_version) == (usual.options, usual.minimum_version)
