"""Faults of chart repositories: what an HTTP client sees, and what kubectl shows of Flux's objects."""

import hashlib
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.integration.conftest import Observer
from tests.integration.faults.clients import never_injected, ready

from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.charts import FAULTS
from fluxlab.lab import Lab
from fluxlab.scenarios import load_scenario
from fluxlab.supervisor.way_out import way_out

URL = "https://charts.shop.example/stable"
INDEX = f"{URL}/index.yaml"
ARCHIVE = f"{URL}/cart-1.0.0.tgz"


@pytest.fixture
def client(shop: Lab) -> Iterator[httpx.Client]:
    variables = way_out(shop.folder)
    trust = ssl.create_default_context(cafile=variables["SSL_CERT_FILE"])
    with httpx.Client(proxy=variables["HTTPS_PROXY"], verify=trust, trust_env=False, timeout=30) as found:
        yield found


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def versions(client: httpx.Client) -> list[str]:
    entries: dict[str, Any] = yaml.safe_load(client.get(INDEX).content)["entries"]
    return [one["version"] for one in entries.get("cart", [])]


def deployed(observer: Observer) -> str:
    """The version of the cart that runs, as kubectl shows it; empty when an action is under way."""
    newest = observer.get("helmrelease", "cart", "-n", "flux-system")["status"]["history"][0]
    return str(newest["chartVersion"]) if newest["status"] == "deployed" else ""


def publish(lab: Lab, folder: Path, version: str) -> None:
    """Another version of the cart, with the same content."""
    chart = load_scenario("shop").folder / "charts" / "cart"
    copy = folder / "cart"
    shutil.copytree(chart, copy)
    text = (copy / "Chart.yaml").read_text()
    (copy / "Chart.yaml").write_text(text.replace("version: 1.0.0", f"version: {version}"))
    lab.add_chart(copy, url=URL)


@dataclass(frozen=True)
class Refusing:
    """A fault after which every answer has one status, and what Flux says then."""

    fault: str
    status: int
    flux_says: str
    parameters: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.fault


REFUSING = [
    Refusing("charts-unavailable", 500, "500 Internal Server Error", {"status_code": 500}),
    Refusing("charts-rate-limited", 429, "429", {"retry_after_seconds": 17}, {"retry-after": "17"}),
    Refusing("charts-unauthorized", 401, "401 Unauthorized", {}, {"www-authenticate": 'Basic realm="charts"'}),
]


@pytest.mark.parametrize("refusing", REFUSING, ids=str)
def test_a_repository_that_refuses(shop: Lab, observer: Observer, client: httpx.Client, refusing: Refusing) -> None:
    def told() -> bool:
        status, reason, message = ready(observer, "helmrepository", "shop")
        return (status, reason) == ("False", "Failed") and refusing.flux_says in message

    sound = [client.get(url).content for url in (INDEX, ARCHIVE)]
    with shop.fault(refusing.fault, for_=120, **refusing.parameters):
        for url in (INDEX, ARCHIVE):
            answer = client.get(url)
            assert answer.status_code == refusing.status
            assert refusing.headers.items() <= dict(answer.headers).items()
        shop.wait_until(told, what=f"kubectl shows {refusing.flux_says}")
        assert deployed(observer)
    assert [client.get(url).content for url in (INDEX, ARCHIVE)] == sound
    shop.wait_until(lambda: ready(observer, "helmrepository", "shop")[0] == "True", what="Flux has read the index")


def test_what_is_truncated_ends_too_early(shop: Lab, client: httpx.Client) -> None:
    sound = [client.get(url).content for url in (INDEX, ARCHIVE)]
    with shop.fault("charts-truncated", for_=120, keep_percent=25):
        assert [client.get(url).content for url in (INDEX, ARCHIVE)] == [one[: len(one) // 4] for one in sound]
    assert [client.get(url).content for url in (INDEX, ARCHIVE)] == sound


def test_what_is_altered_has_another_digest_than_the_index_says(shop: Lab, client: httpx.Client) -> None:
    listed = yaml.safe_load(client.get(INDEX).content)["entries"]["cart"][-1]["digest"]
    with shop.fault("charts-altered", for_=120):
        altered = client.get(ARCHIVE)
        assert altered.status_code == 200
        assert digest(altered.content) != listed
        assert yaml.safe_load(client.get(INDEX).content)["entries"]["cart"][-1]["digest"] == listed
    assert digest(client.get(ARCHIVE).content) == listed


def test_a_huge_index_is_more_than_flux_reads(shop: Lab, observer: Observer, client: httpx.Client) -> None:
    def told() -> bool:
        return "exceeds the maximum index file size" in ready(observer, "helmrepository", "shop")[2]

    with shop.fault("charts-huge-index", for_=120, index_megabytes=52):
        assert len(client.get(INDEX).content) == 52 * 1024 * 1024
        shop.wait_until(told, what="kubectl shows that the index is too large")
    assert len(client.get(INDEX).content) < 10_000
    shop.wait_until(lambda: ready(observer, "helmrepository", "shop")[0] == "True", what="Flux has read the index")


@pytest.mark.parametrize("problem", ["other-name", "foreign-authority"])
def test_a_wrong_certificate_is_not_believed(shop: Lab, client: httpx.Client, problem: str) -> None:
    with shop.fault("charts-wrong-certificate", for_=120, problem=problem):
        with pytest.raises(httpx.ConnectError, match="certificate verify failed") as caught:
            client.get(INDEX)
        assert ("mismatch" in str(caught.value)) is (problem == "other-name")
    assert client.get(INDEX).status_code == 200


def test_a_repository_that_says_nothing(shop: Lab, client: httpx.Client) -> None:
    with shop.fault("charts-hang", for_=120), pytest.raises(httpx.ReadTimeout):
        client.get(INDEX, timeout=2)
    assert client.get(INDEX).status_code == 200


def test_a_yanked_version_comes_back_byte_for_byte(shop: Lab, observer: Observer, client: httpx.Client) -> None:
    def told() -> bool:
        return ready(observer, "helmchart", "flux-system-cart")[:2] == ("False", "InvalidChartReference")

    index, newest = client.get(INDEX).content, versions(client)[0]
    archive = f"{URL}/cart-{newest}.tgz"
    content = client.get(archive).content
    others = versions(client)[1:]
    with shop.fault("chart-yanked", target=f"{URL}/cart", for_=120) as fault:
        assert fault.targets == (f"{URL}/cart",)
        assert versions(client) == others
        assert client.get(archive).status_code == 404
        if not others:
            shop.wait_until(told, what="kubectl shows that no version is found")
        assert deployed(observer)
    assert client.get(INDEX).content == index
    assert client.get(archive).content == content
    assert not list(shop.folder.charts.glob("*/.*"))
    shop.wait_until(lambda: ready(observer, "helmchart", "flux-system-cart")[0] == "True", what="the chart is found")


def test_a_version_that_is_published_again_stays(shop: Lab, client: httpx.Client) -> None:
    newest = versions(client)[0]
    archive = f"{URL}/cart-{newest}.tgz"
    content = client.get(archive).content
    (place,) = shop.folder.charts.glob(f"*/cart-{newest}.tgz")
    with shop.fault("chart-yanked", for_=120):
        place.write_bytes(content)
        published = place.stat().st_ino
    assert place.stat().st_ino == published
    assert client.get(archive).content == content
    assert not list(shop.folder.charts.glob("*/.*"))


def test_a_stale_index_does_not_know_what_was_published_since(
    shop: Lab, observer: Observer, client: httpx.Client, tmp_path: Path
) -> None:
    index = client.get(INDEX).content
    with shop.fault("charts-stale-index", for_=120):
        publish(shop, tmp_path, "1.0.1")
        assert client.get(INDEX).content == index
        assert client.get(f"{URL}/cart-1.0.1.tgz").status_code == 200
    assert "1.0.1" in versions(client)
    shop.wait_until(lambda: deployed(observer) == "1.0.1", what="the new version is rolled out", timeout_seconds=60)


@pytest.mark.parametrize("name", [kind.name for kind in FAULTS])
def test_a_sound_lab_proves_nothing_and_is_healed_already(shop: Lab, name: str) -> None:
    fault = CATALOGUE[name]
    ground, injection = never_injected(shop, fault)
    assert not fault.injected(ground, injection)
    fault.heal(ground, injection)
    assert fault.healed(ground, injection)
