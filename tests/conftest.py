"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    # Shells start background jobs with Ctrl-C ignored, and all children inherit it: tests that interrupt would hang.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
