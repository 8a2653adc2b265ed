"""References to issues in the words of a commit: `#42`, `acme/fleet#42`, `OPS-7`, or the address of an issue."""

import re

_REFERENCE = re.compile(
    r"(?<![\w/#&])(?P<plain>(?:[\w.-]+/[\w.-]+)?#\d+)\b"
    r"|(?<![\w-])(?P<key>[A-Z][A-Z0-9]+-\d+)\b"
    r"|https://[\w./-]+?/(?:issues|pull|merge_requests)/(?P<number>\d+)\b"
)
# Words that look like a tracker's key and are none.
_NO_KEYS = re.compile(r"(?:UTF|SHA|ISO|RFC|CVE|AES|RSA|HTTP|TLS|MD|BASE|X)-?\d+")


def issue_references(message: str) -> tuple[str, ...]:
    """The references in a commit's message, each once, in their order."""
    found: dict[str, None] = {}
    for match in _REFERENCE.finditer(message):
        text = match["plain"] or match["key"] or f"#{match['number']}"
        if not _NO_KEYS.fullmatch(text):
            found[text] = None
    return tuple(found)
