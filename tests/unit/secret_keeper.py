"""A stand-in for the API server of a cluster, of which only the Secrets are asked; it may hang, and be gone."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from fluxlab.clusters.kubeconfig import write_kubeconfig
from fluxlab.pki import Authority
from fluxlab.state import LabFolder

CLUSTER = "c"


class SecretKeeper:
    """Holds the Secrets of a lab's cluster, to which the kubeconfig in the lab's folder leads."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.asked = 0
        self.answering = threading.Event()
        self.answering.set()
        self.gone = False
        """Whether it refuses whatever it is asked."""

    @classmethod
    @contextmanager
    def of(cls, folder: LabFolder, cluster: str = CLUSTER) -> Iterator[Self]:
        """Serve for a lab until the block ends."""
        keeper = cls()
        authority = Authority(folder.root / "authority")
        pair = authority.issue("server", user="server")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate_file))
        context.load_cert_chain(pair.certificate, pair.key)
        server = ThreadingHTTPServer(("127.0.0.1", 0), keeper._handler())
        server.socket = context.wrap_socket(server.socket, server_side=True)
        write_kubeconfig(
            folder.kubeconfig(cluster),
            context=cluster,
            server=f"https://127.0.0.1:{server.server_port}",
            authority=authority.certificate_file,
            client=authority.issue("admin", user="admin"),
        )
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield keeper
        finally:
            keeper.answering.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def _listed(self) -> bytes:
        data = {f"key-{number}": base64.b64encode(one.encode()).decode() for number, one in enumerate(self.values)}
        return json.dumps({"items": [{"metadata": {"name": "held"}, "data": data}]}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        keeper = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                keeper.asked += 1
                assert self.path.startswith("/api/v1/secrets?")
                keeper.answering.wait(60)
                content = keeper._listed()
                with suppress(OSError):  # who asked is tired of waiting
                    self.send_response(503 if keeper.gone else 200)
                    self.send_header("content-length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Not on standard error."""

        return Handler
