"""The first member of a bundle: what must be in the rest of it, and for which fluxlab and platform it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from .entries import Entry, set_key
from .manifests import Fields, FileRecord, Manifest

KIND = "fluxlab toolchain bundle"
FORMAT = 1
LICENCES_FOLDER = "licences"
LARGEST_MANIFEST = 16 * 1024 * 1024
LARGEST_TOTAL = 16 * 1024**3


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a bundle says about itself. `created` is when the newest component in it was built."""

    platform: str
    key: str
    created: str
    components: tuple[Manifest, ...]
    licences: Mapping[str, FileRecord]
    """Licence texts by `<module>@<version>/<file>`."""
    without_licence: tuple[str, ...]
    """Modules that hold no licence text."""

    def files(self, wanted: Sequence[Entry]) -> dict[str, FileRecord]:
        """Every other member of the archive by name, given the entries that it must hold: a program is there once."""
        entries = {entry.name: entry for entry in wanted}
        programs = {
            f"{entries[manifest.component].folder_name}/{name}": record
            for manifest in self.components
            for name, record in manifest.files.items()
            if name not in entries[manifest.component].other_names
        }
        texts = {f"{LICENCES_FOLDER}/{name}": record for name, record in self.licences.items()}
        return {**texts, **programs}

    def to_json(self) -> bytes:
        """The text of `manifest.json`."""
        fields = {
            "kind": KIND,
            "format": FORMAT,
            "platform": self.platform,
            "key": self.key,
            "created": self.created,
            "components": {manifest.component: manifest.fields() for manifest in self.components},
            "licences": {name: asdict(record) for name, record in self.licences.items()},
            "without_licence": list(self.without_licence),
        }
        return (json.dumps(fields, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def parse(cls, text: bytes) -> "Contents":
        """The opposite of `to_json`. Raises ValueError when the text is something else."""
        fields = Fields(json.loads(text))
        if fields.text("kind") != KIND or fields.whole("format") != FORMAT:
            raise ValueError("another kind or format of file")
        components = {name: Manifest.from_fields(manifest) for name, manifest in fields.items("components")}
        if any(name != manifest.component for name, manifest in components.items()):
            raise ValueError("components under other names")
        return cls(
            platform=fields.text("platform"),
            key=fields.text("key"),
            created=fields.text("created"),
            components=tuple(components.values()),
            licences=fields.records("licences"),
            without_licence=tuple(fields.texts("without_licence")),
        )

    def differences(self, wanted: Sequence[Entry]) -> list[str]:
        """In which components this is another toolchain than `wanted`; none when it is the same."""
        ours = {entry.name: entry for entry in wanted}
        theirs = {manifest.component: manifest for manifest in self.components}
        found = [f"{name} is not in it" for name in ours if name not in theirs]
        found += [f"{name} is not part of this fluxlab's toolchain" for name in theirs if name not in ours]
        for name in ours.keys() & theirs.keys():
            if not theirs[name].describes(ours[name]):
                found.append(_difference(theirs[name], ours[name]))
        if not found and self.key != set_key(wanted):
            found.append("its key is not that of its components")
        return sorted(found)


def _difference(theirs: Manifest, ours: Entry) -> str:
    version = ours.component.version
    if theirs.version != version:
        return f"{ours.name} is {theirs.version} instead of {version}"
    return f"{ours.name} {version} is another build (key {theirs.key[:12]} instead of {ours.key[:12]})"
