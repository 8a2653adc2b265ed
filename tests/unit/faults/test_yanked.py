"""A version of a chart that disappears: which one the seed chooses, and that the same one comes back."""

import hashlib
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.clusters.root import Root
from fluxlab.errors import FluxlabError
from fluxlab.faults.base import Fault, Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.choosing import Choice, choose
from fluxlab.faults.means import hosts
from fluxlab.faults.means.web import Visit
from fluxlab.servers.chart_packaging import package_chart
from fluxlab.servers.charts import ChartRepository
from fluxlab.state import LabFolder
from fluxlab.supervisor.charts import chart_folder

STABLE, EDGE = "https://charts.example/stable", "https://charts.example/edge"
HELD = [(STABLE, "cart", "1.0.0"), (STABLE, "cart", "1.1.0"), (STABLE, "shop", "2.0.0"), (EDGE, "cart", "3.0.0")]


class Place:
    """A lab that serves charts, and who asks for them."""

    def __init__(self, folder: LabFolder, sources: Path) -> None:
        self.folder = folder
        self.sources = sources
        for held in HELD:
            self.publish(*held)

    def publish(self, url: str, name: str, version: str, *, says: str = "") -> None:
        source = self.sources / f"{hashlib.sha256(url.encode()).hexdigest()}-{version}-{says}" / name
        source.mkdir(parents=True)
        (source / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\ndescription: '{says}'\n")
        ChartRepository(chart_folder(self.folder, url)).add(package_chart(source, self.sources), replace=True)

    def visit(self, _: LabFolder, url: str, **__: object) -> Visit:
        place, name = url.rsplit("/", 1)
        repository = ChartRepository(chart_folder(self.folder, place))
        archive = repository.folder / name
        if name != "index.yaml" and not archive.exists():
            return Visit(url=url, status=HTTPStatus.NOT_FOUND)
        content = repository.index().content if name == "index.yaml" else archive.read_bytes()
        return Visit(url=url, status=HTTPStatus.OK, content=content, digest=hashlib.sha256(content).hexdigest())

    def archive(self, url: str, name: str) -> Path:
        return chart_folder(self.folder, url) / name

    @property
    def ground(self) -> Ground:
        cluster, unused = SimpleNamespace(name="c", root=Root(), lacks=lambda _: ""), cast("Any", None)
        return Ground(
            cluster=cast("Any", cluster), folder=self.folder, control=unused, open_repository=unused, links=False
        )

    def chosen(self, *, target: str = "", seed: int = 0) -> Choice:
        return choose(CATALOGUE["chart-yanked"], self.ground, target=target, parameters={}, seed=seed)

    def put_in(self, target: str) -> tuple[Fault[Any], Ground, Injection[Any]]:
        fault, chosen = CATALOGUE["chart-yanked"], self.chosen(target=target)
        undo = chosen.plan.undo
        injection = Injection(id="chart-yanked-1", target=target, parameters=chosen.parameters, undo=undo)
        fault.inject(self.ground, injection)
        assert fault.injected(self.ground, injection)
        assert not fault.healed(self.ground, injection)
        return fault, self.ground, injection


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    folder = LabFolder(tmp_path / "labs" / "one")
    folder.create()
    found = Place(folder, tmp_path)
    monkeypatch.setattr(hosts, "visit", found.visit)
    return found


CART = f"{STABLE}/cart"


def test_the_chart_is_the_target_that_the_seed_chooses(place: Place) -> None:
    fault = CATALOGUE["chart-yanked"]
    assert fault.candidates(place.ground) == [f"{EDGE}/cart", CART, f"{STABLE}/shop"]
    chosen = [place.chosen(seed=seed) for seed in range(20)]
    assert {one.target for one in chosen} == {*fault.candidates(place.ground)}
    assert chosen == [place.chosen(seed=seed) for seed in range(20)]
    assert all(place.chosen(target=one.target, seed=seed + 1) == one for seed, one in enumerate(chosen))


def test_its_newest_version_is_gone_and_comes_back_and_others_stay(place: Place) -> None:
    archive, others = place.archive(STABLE, "cart-1.1.0.tgz"), [*place.folder.charts.glob("*/*.tgz")]
    others.remove(archive)
    content = archive.read_bytes()
    fault, ground, injection = place.put_in(CART)
    assert sorted(place.folder.charts.glob("*/*.tgz")) == sorted(others)
    for _ in range(2):
        fault.heal(ground, injection)
        assert archive.read_bytes() == content
        assert fault.healed(ground, injection)
    assert not [*place.folder.scratch.iterdir()]


def test_another_archive_in_its_place_is_not_what_was_there(place: Place) -> None:
    fault, ground, injection = place.put_in(CART)
    place.publish(STABLE, "cart", "1.1.0", says="not by a person")
    (aside,) = place.folder.charts.glob("*/.chart-yanked*")
    aside.unlink()
    assert not fault.healed(ground, injection)


def test_what_somebody_has_published_again_as_it_was_leaves_nothing_else(place: Place) -> None:
    content = place.archive(STABLE, "cart-1.1.0.tgz").read_bytes()
    fault, ground, injection = place.put_in(CART)
    place.archive(STABLE, "cart-1.1.0.tgz").write_bytes(content)
    fault.heal(ground, injection)
    assert fault.healed(ground, injection)
    assert not [*place.folder.charts.glob("*/.*"), *place.folder.scratch.iterdir()]


def test_what_somebody_publishes_while_it_is_chosen_stays_and_nothing_is_in(place: Place) -> None:
    fault, chosen = CATALOGUE["chart-yanked"], place.chosen(target=CART)
    injection = Injection(id="chart-yanked-1", target=CART, parameters=chosen.parameters, undo=chosen.plan.undo)
    place.publish(STABLE, "cart", "1.1.0", says="by a person")
    published = place.archive(STABLE, "cart-1.1.0.tgz").read_bytes()
    with pytest.raises(FluxlabError, match="published"):
        fault.inject(place.ground, injection)
    fault.heal(place.ground, injection)
    assert "published" in fault.healed(place.ground, injection)
    assert place.archive(STABLE, "cart-1.1.0.tgz").read_bytes() == published
    assert not [*place.folder.charts.glob("*/.*")]


def test_what_somebody_has_published_since_stays(place: Place) -> None:
    fault, ground, injection = place.put_in(CART)
    place.publish(STABLE, "cart", "1.1.0", says="by a person")
    published = place.archive(STABLE, "cart-1.1.0.tgz").read_bytes()
    for _ in range(2):
        fault.heal(ground, injection)
        assert place.archive(STABLE, "cart-1.1.0.tgz").read_bytes() == published
        assert "published" in fault.healed(ground, injection)
    assert not [*place.folder.charts.glob("*/.*")]
