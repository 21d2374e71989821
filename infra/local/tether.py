"""Become a program that ends when the process that started it ends.

Run as a script, ``python -I -S tether.py PARENT_PID SIGNAL program argument...``: asks Linux to send SIGNAL when the parent ends,
then replaces itself with the program, which keeps both the process id and the request. A script of its own and not
``preexec_fn``, because code run between fork and exec of a process with threads can deadlock.

Linux sends the signal when the *thread* that forked ends, so the forking thread must live as long as the child should.
Elsewhere there is no such request: the program runs untethered and is ended by ``quantum down``.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tether this process to its parent and become the program."""
    parent, signal, program = int(arguments[0]), int(arguments[1]), arguments[2:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        if os.getppid() != parent:  # it ended before the request was made, so no signal will come
            sys.exit(128 + signal)
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
