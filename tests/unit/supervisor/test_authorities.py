"""Programs behind the gateway trust this machine's authorities only where they may reach hosts for real."""

import ssl
from pathlib import Path

import pytest
import trustme

from fluxlab.errors import FluxlabError
from fluxlab.supervisor import authorities
from fluxlab.supervisor.authorities import bundle

ALLOWED = ["charts.example.com"]


def authority() -> bytes:
    return trustme.CA().cert_pem.bytes()


def trusted(pem: bytes) -> int:
    """How many authorities OpenSSL finds in a bundle."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem.decode())
    return len(context.get_ca_certs())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only file of authorities of this machine, whose last line has no end."""
    file = tmp_path / "machine.pem"
    file.write_bytes(authority().rstrip(b"\n"))
    monkeypatch.setattr(authorities, "PLACES", ())
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


def test_without_allowed_hosts_the_gateway_alone_is_trusted(machine: Path) -> None:
    own = authority()
    assert machine.is_file()
    assert bundle(own, allowed=[]) == own


def test_for_allowed_hosts_both_are_trusted(machine: Path) -> None:
    own = authority()
    found = bundle(own, allowed=ALLOWED)
    assert trusted(found) == 2
    assert own in found
    assert machine.read_bytes() in found


def test_where_openssl_has_a_folder_only_the_file_is_found_that_go_reads(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(machine.with_name("nowhere.pem")))
    monkeypatch.setattr(authorities, "PLACES", (str(machine.with_name("neither.pem")), str(machine)))
    assert trusted(bundle(authority(), allowed=ALLOWED)) == 2


def test_a_machine_without_authorities_cannot_allow_hosts(machine: Path) -> None:
    machine.unlink()
    with pytest.raises(FluxlabError, match=r"no file of authorities, and charts\.example\.com") as caught:
        bundle(authority(), allowed=ALLOWED)
    assert "SSL_CERT_FILE" in caught.value.hint
    assert bundle(own := authority(), allowed=[]) == own
