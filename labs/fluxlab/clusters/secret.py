"""Set one key of a Secret: from memory to the API server, on no command line and in no file."""

from http import HTTPStatus

import yaml

from fluxlab.documents import Json, JsonObject, ManifestLoader, check_nesting
from fluxlab.errors import UsageError
from fluxlab.places import check_key, parse_place

from .api import ApiError, KubeApi
from .resources import NAMESPACE, SECRET

WATCHED = {"reconcile.fluxcd.io/watch": "Enabled"}
"""With this label Flux's controllers notice a change at once (source: their --watch-configs-label-selector)."""
_LINE_FEED = "a line feed, which Flux's postBuild leaves out"
_NO_TEXT = "reads as something else in YAML, where Flux's postBuild puts it without quotes"


def trouble_with_substitution(value: str) -> str:
    """What is wrong with a value for Flux's `postBuild`, in words; empty when manifests get it as it is.

    kustomize-controller 1.9 leaves out line feeds, and writes manifests anew before it puts values in: quotes that are
    around a variable in git are gone by then.
    """
    if not value:
        return "is empty"
    if "\n" in value:
        return f"{'ends with' if value.find(chr(10)) == len(value) - 1 else 'holds'} {_LINE_FEED}"
    return "" if _as_yaml(value) == value else _NO_TEXT


def _as_yaml(value: str) -> Json:
    """What a value is where it stands by itself in YAML; nothing where that is no YAML."""
    document = f"value: {value}"
    try:
        check_nesting(document)
        [read] = yaml.load_all(document, Loader=ManifestLoader)
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # of odd tags
        return None
    return read["value"] if isinstance(read, dict) and len(read) == 1 else None


def set_secret(api: KubeApi, place: str, key: str, value: str, *, create_namespace: bool = False) -> None:
    """Set a key of a Secret, which is made if need be; its other keys stay.

    Raises UsageError for a place, key or value that cannot be, or a namespace that is not there.
    """
    namespace, name = parse_place(place, kind="Secret")
    check_key(key)
    if not value:
        raise UsageError(f"the value for {key} of Secret {place} is empty")
    _have_namespace(api, namespace, create=create_namespace)
    manifest: JsonObject = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": WATCHED},
        "stringData": {key: value},
    }
    try:
        api.create(SECRET, manifest, namespace=namespace)
    except ApiError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        api.merge(SECRET, name, {"metadata": {"labels": WATCHED}, "stringData": {key: value}}, namespace=namespace)


def _have_namespace(api: KubeApi, name: str, *, create: bool) -> None:
    if api.find(NAMESPACE, name):
        return
    if not create:
        hint = "add --create-namespace, or wait until Flux has made it"
        raise UsageError(f"there is no namespace {name}", hint=hint)
    api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
