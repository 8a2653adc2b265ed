"""The certificate authorities of a lab: made afresh for each lab, kept in 0600 files of its state directory."""

from pathlib import Path

import trustme

from .files import KeyPairFiles, write_private


class Authority:
    """A certificate authority and the key pairs that it issued, in one folder: loaded if it is there, else made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate_file = folder / "ca.crt"
        key_file = folder / "ca.key"
        if self.certificate_file.exists() and key_file.exists():
            self._ca = trustme.CA.from_pem(self.certificate_file.read_bytes(), key_file.read_bytes())
        else:
            self._ca = trustme.CA(organization_name="fluxlab")
            write_private(key_file, self._ca.private_key_pem.bytes())
            write_private(self.certificate_file, self._ca.cert_pem.bytes())

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate."""
        return self._ca.cert_pem.bytes()

    def leaf(self, *names: str, user: str = "fluxlab", group: str | None = None) -> trustme.LeafCert:
        """A certificate for host names or addresses; `user` and `group` are what Kubernetes reads as identity."""
        return self._ca.issue_cert(*names, common_name=user, organization_name=group)

    def issue(self, file_name: str, *names: str, user: str, group: str | None = None) -> KeyPairFiles:
        """As `leaf`, into `<folder>/<file_name>.crt` and `.key`; an existing pair is kept."""
        files = KeyPairFiles(
            certificate=self.folder / f"{file_name}.crt",
            key=self.folder / f"{file_name}.key",
        )
        if not (files.certificate.exists() and files.key.exists()):
            leaf = self.leaf(*names or ("localhost", "127.0.0.1"), user=user, group=group)
            write_private(files.key, leaf.private_key_pem.bytes())
            write_private(files.certificate, b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return files
