"""A TLS context for each host that the lab answers for, with a certificate from the lab's own authority."""

import hashlib
import ssl
import threading

from fluxlab.host_rules import CertificateProblem
from fluxlab.pki import Authority

# The longest common name that X.509 allows.
LONGEST_NAME = 64
OTHER_NAME = "another-host.fluxlab.invalid"


class HostContexts:
    """Makes a context when a host is first asked for, and keeps it: ask for mapped hosts only, and there are few."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._lock = threading.Lock()
        self._contexts: dict[tuple[str, CertificateProblem | None], ssl.SSLContext] = {}

    def context(self, host: str, problem: CertificateProblem | None = None) -> ssl.SSLContext:
        """The context for the host that CONNECT named: a client that then asks for another name finds the wrong one.

        With a problem its certificate is one that the client must not believe.
        """
        with self._lock:
            if (host, problem) not in self._contexts:
                self._contexts[host, problem] = self._make(host, problem)
            return self._contexts[host, problem]

    def _make(self, host: str, problem: CertificateProblem | None) -> ssl.SSLContext:
        # Through files of the state directory: ssl loads keys from files only, and these have mode 0600.
        foreign = problem is CertificateProblem.FOREIGN_AUTHORITY
        authority = Authority(self._authority.folder / "foreign") if foreign else self._authority
        shown = OTHER_NAME if problem is CertificateProblem.OTHER_NAME else host
        name = shown.replace(":", "_") if len(shown) <= LONGEST_NAME else hashlib.sha256(shown.encode()).hexdigest()
        pair = authority.issue(f"gateway-{name}", shown, user=shown[:LONGEST_NAME])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(pair.certificate, pair.key)
        context.set_alpn_protocols(["http/1.1"])
        return context
