"""Git over HTTP: an ASGI application in front of `git http-backend`, and the news of every push.

Who may do what: a repository's token (Basic, any user name) opens it for reading and writing. Without a token of the
lab every repository, known or not, answers 401 alike; with another repository's token every other one answers 404.
So names cannot be probed from outside: a refusal names what was asked for, and nothing else.
"""

import asyncio
import logging
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from .asgi import Credentials, Header, answer, asked_by, basic_credentials, header, path_below
from .cgi import CgiProgram, run_cgi
from .git_repositories import GitRepositories, GitRepository
from .pushes import ChangeSheet, Push, Subscriber

READ, WRITE = "git-upload-pack", "git-receive-pack"
# Each is two or three processes; what comes on top waits its turn instead of taking the machine down.
MAXIMUM_AT_ONCE = 48
# A push that lost its client mid-way sees the end of its input and removes what it had stored.
PUSH_GRACE_SECONDS = 5.0
LONGEST_NAME = 100
"""Of a repository that is asked for, as a refusal quotes it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Refusal:
    status: int
    text: str
    headers: tuple[Header, ...] = ()


CHALLENGE = (b"www-authenticate", b'Basic realm="fluxlab", charset="UTF-8"')
NOT_SMART = _Refusal(404, "git's smart HTTP protocol is all that is served here")


@dataclass(frozen=True)
class _Request:
    scope: Scope
    receive: Receive
    send: Send
    repository: str
    """The name that is asked for, whether there is one or not."""
    path: str
    """Below the repository: `/info/refs`."""

    @property
    def service(self) -> str:
        """The git service that is asked for; empty when it is none (git's dumb protocol, or any other path)."""
        if self.scope["method"] == "GET" and self.path == "/info/refs":
            asked = parse_qs(self.scope["query_string"].decode("latin-1")).get("service", [""])[0]
            return asked if asked in {READ, WRITE} else ""
        if self.scope["method"] == "POST" and self.path in {f"/{READ}", f"/{WRITE}"}:
            return self.path.removeprefix("/")
        return ""

    @property
    def credentials(self) -> Credentials | None:
        return basic_credentials(header(self.scope, b"authorization"))

    @property
    def who(self) -> str:
        return asked_by(self.scope) or (self.credentials.user if self.credentials else "")


class GitServer:
    """Serves the repositories of a lab at `/<name>.git`, and each one on its own to be mounted at its public URL."""

    def __init__(self, repositories: GitRepositories, *, lab: str) -> None:
        """`lab` is the name by which refusals tell whose repositories they are."""
        self.repositories = repositories
        self._lab = lab
        self._subscribers: tuple[Subscriber, ...] = ()
        self._telling: set[asyncio.Future[None]] = set()
        self._places = asyncio.Semaphore(MAXIMUM_AT_ONCE)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` after each push that moved a ref, at once and without holding up the push."""
        self._subscribers = (*self._subscribers, subscriber)

    def application(self, name: str) -> ASGIApp:
        """The one repository `name`, as it answers at its public URL."""

        async def repository_application(scope: Scope, receive: Receive, send: Send) -> None:
            await self._serve(self.repositories.find(name), _Request(scope, receive, send, name, path_below(scope)))

        return repository_application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve `/<name>.git/...`."""
        name, _, rest = path_below(scope).removeprefix("/").partition("/")
        name = name.removesuffix(".git")
        await self._serve(self.repositories.find(name), _Request(scope, receive, send, name, f"/{rest}"))

    async def stop(self) -> None:
        """Cancel the subscribers that are still at work."""
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def _serve(self, repository: GitRepository | None, request: _Request) -> None:
        if refusal := self._refusal(repository, request):
            await answer(request.send, refusal.status, refusal.text, headers=refusal.headers)
        elif repository:
            async with self._places:
                await self._run(repository, request)

    def _refusal(self, repository: GitRepository | None, request: _Request) -> _Refusal | None:
        credentials = request.credentials
        opened = [known for known in self.repositories.all() if credentials and known.opens(credentials.password)]
        asked = f"repository {request.repository[:LONGEST_NAME]!r} of lab {self._lab}"
        step = f"next: fluxlab clone --lab {self._lab} makes a clone that has its token"  # git shows its user all of it
        if not opened:
            return _Refusal(401, f"{asked}: a token of this lab is needed\n{step}", (CHALLENGE,))
        if repository not in opened:
            return _Refusal(404, f"this token opens no {asked}\n{step}")
        return None if request.service else NOT_SMART

    async def _run(self, repository: GitRepository, request: _Request) -> None:
        folder = self.repositories.folder
        writes = request.service == WRITE and request.scope["method"] == "POST"
        with ChangeSheet(folder) as sheet, tempfile.TemporaryFile(dir=folder) as errors:
            program = CgiProgram(
                argv=["git", "http-backend"],
                environment={**_environment(repository, request), "FLUXLAB_CHANGES_FD": str(sheet.descriptor)},
                errors=errors,
                inherited=[sheet.descriptor],
                grace_seconds=PUSH_GRACE_SECONDS if writes else 0.0,
                at_end=partial(self._publish, repository, sheet, request.who),
            )
            await run_cgi(program, request.receive, request.send)

    def _publish(self, repository: GitRepository, sheet: ChangeSheet, who: str) -> None:
        changes = sheet.take()
        if not changes:
            return
        push = Push(repository=repository, changes=changes, who=who, time=datetime.now(UTC))
        for subscriber in self._subscribers:
            task = asyncio.ensure_future(_tell(subscriber, push))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)


async def _tell(subscriber: Subscriber, push: Push) -> None:
    try:
        await subscriber(push)
    except Exception:  # a subscriber's error is its own: the push has happened
        logger.exception("a subscriber failed on the push to %s", push.repository.name)


def _environment(repository: GitRepository, request: _Request) -> dict[str, str]:
    scope, method = request.scope, str(request.scope["method"])
    # No CONTENT_LENGTH: with it git reads through a copying loop that spins for ever when the client breaks off
    # (http-backend.c, pipe_fixed_length, 2.39); without it the end of the input is the end of the body.
    from_request = {
        "CONTENT_TYPE": header(scope, b"content-type"),
        "HTTP_CONTENT_ENCODING": header(scope, b"content-encoding"),
        "GIT_PROTOCOL": header(scope, b"git-protocol"),
    }
    return {
        **repository.environment,
        "GIT_PROJECT_ROOT": str(repository.path.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository.path.name}{request.path}",
        "QUERY_STRING": f"service={request.service}" if method == "GET" else "",
        "REQUEST_METHOD": method,
        "REMOTE_USER": request.who or "fluxlab",
        "REMOTE_ADDR": "127.0.0.1",
        **{name: value for name, value in from_request.items() if value},
    }
