"""What a user sees when something does not work: what is wrong, what can be done, and the right exit code.

The one rule it keeps: a user never sees a traceback. A failure that we can explain is one row in `KNOWN`. Any other is
written to a file; the user sees its first line and the file's name.
"""

from __future__ import annotations

import errno
import re
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from orchestrator.cli.output import READER_GONE, written

if TYPE_CHECKING:
    from cyclopts.exceptions import CycloptsError

DONE, FAILED, WRONG, REFUSED = 0, 1, 2, 3

# Module, class, exit code. Looked up by name along the exception's ancestors, so that nothing has to be imported here.
KNOWN: dict[tuple[str, str], int] = {
    ("orchestrator.config", "ConfigurationInvalid"): WRONG,
    ("orchestrator.config", "WorkspaceUnsafe"): WRONG,
    ("orchestrator.journal", "JournalError"): FAILED,
    ("orchestrator.core", "IllegalRecord"): FAILED,
    ("orchestrator.core", "CodecError"): FAILED,
    ("orchestrator.daemon", "NobodyListens"): FAILED,
    ("orchestrator.daemon", "NoReply"): FAILED,
    ("orchestrator.daemon", "Rejected"): FAILED,
    ("orchestrator.daemon", "SocketInUse"): FAILED,
    ("orchestrator.daemon", "UnsafeDirectory"): FAILED,
    ("orchestrator.shell", "LeaseRefused"): FAILED,
    ("orchestrator.shell", "LeaseLost"): FAILED,
    ("orchestrator.lab", "LabUsageError"): WRONG,
    ("orchestrator.lab", "LabError"): FAILED,
}


class CallWrong(Exception):
    """The command was called wrongly: what is wrong, and what to type instead. Exit code 2."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}. {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy


def explain(error: BaseException) -> int:
    """Tell the user on standard error; the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):
        return READER_GONE  # whoever read our output has enough
    if isinstance(error, CallWrong):
        _say(error.what, error.remedy)
        return WRONG
    code = known(error)
    if code is not None:
        _say(str(error) or type(error).__name__)
        return code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO, errno.EDQUOT) and not error.filename:
        if not written(None):  # which tells it, where something is still held back
            _say(f"the output cannot be written: {error.strerror}")
        return FAILED
    if isinstance(error, OSError) and error.filename:
        _say(f"{error.filename}: {error.strerror}")
        return FAILED
    _say(f"unexpected: {type(error).__name__}: {error}".partition("\n")[0], f"The traceback is in {_kept(error)}")
    return FAILED


def misread(error: CycloptsError) -> int:
    """Tell the user which word of the command line is none, and where the right ones stand; the exit code."""
    error.verbose = False
    chain = " ".join(("bascule", *(error.command_chain or ())))
    what = str(error).partition(" Available commands")[0].rstrip(".")
    if type(error).__name__ == "UnusedCliTokensError" and error.unused_tokens:
        what = f"{' '.join(error.unused_tokens)}: {chain} takes no such word"
    elif (lacking := re.fullmatch(r"Command .* parameter (\S+) requires an argument", what)) is not None:
        name = lacking[1]
        what = f"{name} needs a value" if name in (error.root_input_tokens or ()) else f"{name} is missing"
    _say(what[:1].lower() + what[1:] if what[1:2].islower() else what, f"{chain} --help says what it takes")
    return WRONG


def known(error: BaseException) -> int | None:
    """The exit code of an exception that explains itself; None for any other."""
    for ancestor in type(error).__mro__:
        for (package, name), code in KNOWN.items():
            if ancestor.__name__ == name and ancestor.__module__.startswith(package):
                return code
    return None


def _say(what: str, remedy: str = "") -> None:
    red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() else ("", "")
    with suppress(OSError):  # nobody is there to read it
        sys.stderr.write(f"{red}bascule:{plain} {what}\n")
        if remedy:
            sys.stderr.write(f"         {remedy}\n")


def _kept(error: BaseException) -> str:
    import tempfile

    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="bascule-", suffix=".traceback", delete=False) as file:
            file.write(text)
            return file.name
    except OSError:
        return "no file, since none could be written:\n" + text
