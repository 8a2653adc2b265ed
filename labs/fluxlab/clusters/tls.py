"""How a client speaks TLS with an API server, from several threads at once."""

import ssl
import sys
from collections.abc import Iterable, Sequence

from .kubeconfig import Access


class SharedContext(ssl.SSLContext):
    """A context with which several threads connect at once.

    urllib3 names the protocols anew for each connection (`util/ssl_.py`). OpenSSL frees the earlier names then, which
    a connection that just begins in another thread may be reading, and the server refuses what it sends: `alert decode
    error`. So what has been named once is not named again.
    """

    _named: Sequence[str] = ()

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """As ssl.SSLContext has it, for other protocols than those that were named last."""
        wanted = tuple(alpn_protocols)
        if wanted != self._named:
            super().set_alpn_protocols(wanted)
            self._named = wanted


def client_context(access: Access) -> SharedContext:
    """Whom to trust, and who the client is. It speaks HTTP/1.1, as urllib3 does."""
    context = SharedContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificates and names
    if sys.version_info >= (3, 13):  # as strict as ssl.create_default_context, which makes no context of another class
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    if access.authority:
        context.load_verify_locations(cafile=str(access.authority))
    else:
        context.load_default_certs()
    if not access.verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if access.client:
        context.load_cert_chain(access.client.certificate, access.client.key)
    context.set_alpn_protocols(["http/1.1"])
    return context
