"""The commit statuses of GitHub's API (internal/notifier/github.go)."""

import hmac
import json
import re
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from pydantic import Field, ValidationError
from starlette.types import Scope

from fluxlab.servers.asgi import header
from fluxlab.timeline.entries import ObjectRef

from .sink import KINDS, Alert, Content, RefusedError, Sink, why

STATUSES_PER_COMMIT = 50
"""As many as notification-controller asks for."""


class _CommitStatus(Content):
    state: Literal["error", "failure", "pending", "success"]
    context: str = Field(min_length=1)
    description: str = Field(default="", max_length=140)  # GitHub refuses longer ones


class GitHubSink(Sink):
    """The commit statuses of GitHub's API."""

    kind = "github"
    _place = re.compile(r"(?:/api/v3)?/repos/[^/]+/[^/]+/(?:statuses|commits)/(?P<sha>[0-9a-f]{40,64})(?:/statuses)?")

    def __init__(self, host: str, heard: Callable[[Alert], None], token: str = "") -> None:
        super().__init__(host, heard, token)
        self._statuses: dict[str, deque[_CommitStatus]] = defaultdict(lambda: deque(maxlen=STATUSES_PER_COMMIT))

    def _sha(self, scope: Scope) -> str:
        found = self._place.fullmatch(str(scope["path"]))
        if found is None:
            raise RefusedError(404, json.dumps({"message": "Not Found"}), "only statuses of commits are served here")
        return found["sha"]

    def admit(self, scope: Scope, body: bytes) -> None:
        """Compare the token, with either of the words that GitHub takes before it."""
        del body
        _, _, given = header(scope, b"authorization").partition(" ")
        if not given:
            raise RefusedError(401, json.dumps({"message": "Requires authentication"}), "it came without a token")
        if self._token and not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            raise RefusedError(
                401, json.dumps({"message": "Bad credentials"}), "its token is not the one in the lab's Secret"
            )

    def listed(self, scope: Scope) -> str:
        """The statuses of a commit, the newest first: who has said the same already says it not again."""
        known = self._statuses.get(self._sha(scope), ())
        return json.dumps([status.model_dump() for status in reversed(known)])

    def read(self, scope: Scope, alert: Alert, content: object) -> Alert:
        """The status of the commit that the path names."""
        sha = self._sha(scope)
        try:
            status = _CommitStatus.model_validate(content)
        except ValidationError as error:
            raise RefusedError(422, json.dumps({"message": "Validation Failed"}), why(error)) from None
        self._statuses[sha].append(status)
        return replace(
            alert,
            object=_named_in(status.context),
            revision=f"sha1:{sha}",
            severity="info" if status.state in {"success", "pending"} else "error",
            message=status.description,
        )

    def thanks(self, scope: Scope) -> tuple[int, str]:
        """The status that was made."""
        return 201, json.dumps(self._statuses[self._sha(scope)][-1].model_dump())


def _named_in(context: str) -> ObjectRef | None:
    """The object in the context of a commit status, KIND/NAME/PROVIDER; None where a Provider has words of its own."""
    kind, _, rest = context.partition("/")
    name, slash, _ = rest.partition("/")
    return ObjectRef(kind=KINDS[kind], name=name) if slash and kind in KINDS else None
