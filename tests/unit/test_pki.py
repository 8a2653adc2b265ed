"""Certificates as a TLS handshake sees them, and files that only their owner reads."""

import re
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from fluxlab.files import KeyPairFiles, write_private
from fluxlab.pki import Authority


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def handshake(pair: KeyPairFiles, *, trusted: Path, host: str, client: KeyPairFiles | None = None) -> dict[str, object]:
    """A real TLS handshake on a socket pair; returns the client certificate that the server saw."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(trusted))
    serving.load_cert_chain(pair.certificate, pair.key)
    serving.verify_mode = ssl.CERT_REQUIRED if client else ssl.CERT_NONE
    asking = ssl.create_default_context(cafile=str(trusted))
    if client:
        asking.load_cert_chain(client.certificate, client.key)
    ours, theirs = socket.socketpair()
    seen: dict[str, object] = {}

    def serve() -> None:
        try:
            with serving.wrap_socket(theirs, server_side=True) as tls:
                seen.update(tls.getpeercert() or {})
                tls.sendall(b"x")
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with asking.wrap_socket(ours, server_hostname=host) as tls:
            assert tls.recv(1) == b"x"
    finally:
        ours.close()
        thread.join()
    return seen


def test_keys_and_certificates_are_for_the_owner_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "a" / "pki")
    authority.issue("api", user="kube-apiserver")
    files = {path.name for path in authority.folder.iterdir()}
    assert files == {"ca.crt", "ca.key", "api.crt", "api.key"}
    assert {mode(authority.folder / file) for file in files} == {0o600}
    assert mode(authority.folder) == 0o700


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_pair_without_names_serves_on_loopback(tmp_path: Path, host: str) -> None:
    authority = Authority(tmp_path)
    handshake(authority.issue("x", user="x"), trusted=authority.certificate_file, host=host)


@pytest.mark.parametrize("host", ["github.com", "10.96.0.1"])
def test_a_pair_serves_its_names(tmp_path: Path, host: str) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("x", "github.com", "10.96.0.1", user="x")
    handshake(pair, trusted=authority.certificate_file, host=host)


@pytest.mark.parametrize("host", ["localhost", "gitlab.com", "10.96.0.2"])
def test_a_pair_serves_no_other_names(tmp_path: Path, host: str) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("x", "github.com", "10.96.0.1", user="x")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(pair, trusted=authority.certificate_file, host=host)


def test_another_authority_does_not_vouch(tmp_path: Path) -> None:
    pair = Authority(tmp_path / "a").issue("x", user="x")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(pair, trusted=Authority(tmp_path / "b").certificate_file, host="localhost")


@pytest.mark.parametrize("group", [None, "system:masters"])
def test_user_and_group_are_in_the_subject(tmp_path: Path, group: str | None) -> None:
    authority = Authority(tmp_path)
    client = authority.issue("admin", user="system:admin", group=group)
    server = authority.issue("server", user="server")
    seen = handshake(server, trusted=authority.certificate_file, host="localhost", client=client)
    subject = seen["subject"]
    assert isinstance(subject, tuple)
    assert ("commonName", "system:admin") in [entry[0] for entry in subject]
    groups = [entry[0][1] for entry in subject if entry[0][0] == "organizationName"]
    assert ("system:masters" in groups) == (group is not None)


def test_an_authority_is_loaded_where_it_is_already(tmp_path: Path) -> None:
    first = Authority(tmp_path)
    pair = first.issue("old", user="old")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    second = Authority(tmp_path)
    assert second.issue("old", user="old") == pair
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert second.certificate_pem == before[tmp_path / "ca.crt"]
    handshake(second.issue("new", user="new"), trusted=first.certificate_file, host="localhost")


def test_an_authority_whose_key_is_lost_is_made_anew(tmp_path: Path) -> None:
    first = Authority(tmp_path).certificate_pem
    (tmp_path / "ca.key").unlink()
    again = Authority(tmp_path)
    assert again.certificate_pem != first
    handshake(again.issue("x", user="x"), trusted=again.certificate_file, host="localhost")


def test_a_leaf_is_not_written(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    leaf = authority.leaf("github.com")
    assert re.match(rb"-----BEGIN (EC )?PRIVATE KEY-----", leaf.private_key_pem.bytes())
    assert {path.name for path in tmp_path.iterdir()} == {"ca.crt", "ca.key"}


# -- write_private ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["ü", "ü".encode()])
def test_a_private_file_is_written_with_its_folders(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "a" / "b" / "file"
    assert write_private(path, content) == path
    assert path.read_text() == "ü"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_a_private_file_replaces_a_public_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("longer than what follows")
    path.chmod(0o644)
    write_private(path, "short")
    assert (path.read_text(), mode(path)) == ("short", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_content_or_the_new_never_a_part(tmp_path: Path) -> None:
    path = write_private(tmp_path / "file", "a" * 300_000)
    with path.open() as reader:
        write_private(path, "b" * 300_000)
        assert set(reader.read()) == {"a"}
    assert set(path.read_text()) == {"b"}


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_private(tmp_path / "folder", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_threads_that_write_the_same_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path, errors = tmp_path / "file", []

    def write(letter: str) -> None:
        try:
            for _ in range(100):
                write_private(path, letter * 10_000)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(path.read_text()) == 10_000
    assert len(set(path.read_text())) == 1
    assert list(tmp_path.iterdir()) == [path]
