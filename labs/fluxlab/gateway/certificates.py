"""A TLS context for each host that the lab answers for, with a certificate from the lab's own authority."""

import hashlib
import ssl
import threading

from fluxlab.pki import Authority

# The longest common name that X.509 allows.
LONGEST_NAME = 64


class HostContexts:
    """Makes a context when a host is first asked for, and keeps it: ask for mapped hosts only, and there are few."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._lock = threading.Lock()
        self._contexts: dict[str, ssl.SSLContext] = {}

    def context(self, host: str) -> ssl.SSLContext:
        """The context for the host that CONNECT named: a client that then asks for another name finds the wrong one."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._make(host)
            return self._contexts[host]

    def _make(self, host: str) -> ssl.SSLContext:
        # Through files of the state directory: ssl loads keys from files only, and these have mode 0600.
        name = host.replace(":", "_") if len(host) <= LONGEST_NAME else hashlib.sha256(host.encode()).hexdigest()
        pair = self._authority.issue(f"gateway-{name}", host, user=host[:LONGEST_NAME])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(pair.certificate, pair.key)
        context.set_alpn_protocols(["http/1.1"])
        return context
