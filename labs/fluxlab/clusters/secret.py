"""Set one key of a Secret: from memory to the API server, on no command line and in no file."""

from http import HTTPStatus

from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.places import check_key, parse_place

from .api import ApiError, KubeApi
from .resources import NAMESPACE, SECRET

WATCHED = {"reconcile.fluxcd.io/watch": "Enabled"}
"""With this label Flux's controllers notice a change at once (source: their --watch-configs-label-selector)."""
_TROUBLE = {"\n": "a line feed", '"': "a double quote", "\\": "a backslash"}


def trouble_with_substitution(value: str) -> str:
    """What in a value would come out of `postBuild` as something else; empty when nothing would.

    Flux puts the value into the YAML as it is, where manifests usually have it in double quotes.
    """
    return " and ".join(named for character, named in _TROUBLE.items() if character in value)


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
