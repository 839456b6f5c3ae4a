"""Become a program that the kernel ends when its parent ends, however that happens.

Run as a script: ``python tether.py PARENT_PID PROGRAM ARGUMENT...``. It stands between fork and
exec instead of a ``preexec_fn``, which is not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Ask for SIGTERM at the parent's death, then become the program."""
    parent, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() == int(parent):  # else it died before prctl, and nothing would tell us
        os.execv(command[0], command)  # noqa: S606 - no shell is what we want


if __name__ == "__main__":
    main()
