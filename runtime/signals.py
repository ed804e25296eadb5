"""Ctrl-C in a compiled call. The rules stand in kernels/weft_run.h; here is when the C handler is installed.

The C handler stands in front of Python's own while Python's SIGINT handler is the default one, and chains to it. A
program that sets a handler of its own with `signal.signal` thereby removes ours, as it means to: compiled calls then
run to their end before that handler does. Calls of the main thread look at most every 50 ms whether ours is still there
and install it again once the default handler is back (asyncio and others set and restore it).
"""

from __future__ import annotations

import signal
import threading

from . import pool


def install() -> bool:
    """Installs the handler where that is right; true where SIGINT stops compiled calls of the main thread."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    return bool(pool.library().weft_stop_install(threading.main_thread().ident))
