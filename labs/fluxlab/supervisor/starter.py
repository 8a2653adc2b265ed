"""The pipe between a supervisor and the process that starts it: by it the one knows whether the other still lives."""

import os
import threading
from collections.abc import Callable

GO = b"g"
"""The supervisor is on record: it may begin."""
FREE = b"f"
"""It stays when its starter ends. Without this word the end of the pipe is the end of the lab."""
REMOVE = "remove"
KEEP = "keep"
"""What happens to the folder of a lab whose starter ended without the word."""


def may_begin(pipe: int) -> bool:
    """Wait for the first word; False when the starter ended without it, so that nothing must begin."""
    return os.read(pipe, 1) == GO


def watch(pipe: int, orphaned: Callable[[], None]) -> None:
    """Call `orphaned`, in a thread, when the starter ends without having let go."""

    def wait() -> None:
        if os.read(pipe, 1) != FREE:
            orphaned()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
