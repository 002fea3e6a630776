"""Standard output and error of a command: closed, full, or with nobody at the other end.

The one rule it keeps: no state of the output causes a traceback, and none hides how the verb itself ended.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

READER_GONE = 141  # 128 + SIGPIPE
NOT_WRITTEN = 1


def opened() -> None:
    """Open what was closed before we began: else the next file that is opened would be written to as if it were it."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            got = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            if got != fd:
                os.dup2(got, fd)
                os.close(got)
            os.set_inheritable(fd, True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as long as the program
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def reader_gone() -> bool:
    """Whether nobody is at the other end of our standard output: a pipe tells it before anything is written."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False  # it is no file of the system's
    return any(told & (select.POLLERR | select.POLLHUP) for _, told in poll.poll(0))


def written(code: str | int | None) -> str | int | None:
    """Write out what is still held back; the exit code, which is the verb's own wherever it has one."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere(1)
    except OSError as error:
        _to_nowhere(1)
        with suppress(OSError):
            sys.stderr.write(f"bascule: standard output cannot be written: {error.strerror}\n")
        code = code or NOT_WRITTEN
    try:
        sys.stderr.flush()
    except OSError:
        _to_nowhere(2)
    return code


@contextmanager
def unhindered() -> Iterator[None]:
    """Meanwhile nothing that is written holds up or ends what is being done: this command is the controller itself.

    A terminal that stands still or a reader that is gone must not stop a run between its fence and its playbook.
    """
    from orchestrator.daemon.outlet import Outlet

    before = sys.stdout, sys.stderr
    with suppress(OSError):
        sys.stdout.flush()
    out, err = Outlet(1), Outlet(2)
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        out.drain(None)
        err.drain(None)


def _to_nowhere(fd: int) -> None:
    """What Python still holds back for it is not tried again when the program ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.close(nowhere)


def put_file(path: Path, content: str | bytes) -> None:
    """Put it there in one instant, or leave what was there. A pipe or a device is written to, never replaced.

    Raises OSError, with the path.
    """
    whole = content.encode("utf-8") if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(whole)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(whole)
        draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
