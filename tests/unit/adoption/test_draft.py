"""A draft says what changed, and can be as it was."""

from pathlib import Path

import pytest

from fluxlab.adoption.draft import Draft
from fluxlab.errors import UsageError


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    folder = tmp_path / "draft"
    (folder / "apps" / "cart").mkdir(parents=True)
    (folder / "apps" / "cart" / "cart.yaml").write_text("one\r\n", newline="")
    return Draft(folder)


def files(draft: Draft) -> dict[str, str]:
    found = (path for path in draft.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(draft.folder)): path.read_bytes().decode() for path in found}


def test_changes_are_what_differs_and_can_be_taken_back(draft: Draft) -> None:
    draft.write("apps/cart/cart.yaml", "two\r\n")
    some = draft.changes
    draft.write("apps/new.yaml", "new")
    draft.write("apps/cart/cart.yaml", None)
    assert draft.changes == {"apps/cart/cart.yaml": None, "apps/new.yaml": "new"}
    assert files(draft) == {"apps/new.yaml": "new"}
    draft.back_to(some)
    assert draft.changes == some == {"apps/cart/cart.yaml": "two\r\n"}
    assert files(draft) == {"apps/cart/cart.yaml": "two\r\n"}
    draft.back_to({})
    assert draft.changes == {}
    assert files(draft) == {"apps/cart/cart.yaml": "one\r\n"}


def test_a_folder_that_becomes_empty_is_gone_as_it_is_in_git(draft: Draft) -> None:
    draft.write("apps/cart/cart.yaml", None)
    assert list(draft.folder.iterdir()) == []
    assert not draft.has("apps/cart/cart.yaml")


def test_what_is_gone_with_its_folder_can_be_taken_out_again(draft: Draft) -> None:
    draft.write("apps/cart/cart.yaml", None)
    draft.back_to(draft.changes)
    assert draft.changes == {"apps/cart/cart.yaml": None}
    assert files(draft) == {}


def test_what_is_no_text_or_not_in_the_repository_is_refused(draft: Draft, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (draft.folder / "link.yaml").symlink_to(tmp_path / "secret")
    (draft.folder / "binary").write_bytes(b"\xff")
    for path in ("link.yaml", "../secret", "binary", "missing"):
        with pytest.raises(UsageError, match=path):
            draft.read(path)
    with pytest.raises(UsageError):
        draft.write("link.yaml", "mine")
    assert (tmp_path / "secret").read_text() == "secret"
