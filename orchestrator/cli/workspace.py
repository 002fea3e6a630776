"""Which workspace a command is about, and which service or client of it."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.failures import CallWrong

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from orchestrator.core.model import Model
    from orchestrator.reports.reader import Reader, StateT
    from orchestrator.reports.stories import State


def find_workspace(given: Path | None) -> Path:
    """`--workspace`, else $BASCULE_WORKSPACE, else the nearest parent that has `inventories/`.

    Raises CallWrong, also of one whose state is another's: a daemon that listens there is the other's too.
    """
    from orchestrator.journal import whose

    found = _chosen(given)
    if wrong := whose.of_another(found):
        raise CallWrong(wrong, whose.REMEDY)
    return found


@contextmanager
def begun_in(workspace: Path) -> Iterator[None]:
    """Work as if the command had been given in the workspace, wherever it was.

    A program that its files name by a relative path (a plug-in, a way to tell people) is the workspace's. Where the
    command was given, others may write.
    """
    with ExitStack() as back:
        with suppress(PermissionError):  # of another login's directory, as with sudo: there is no way back to that
            before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # it may have no name any more
            back.callback(os.close, before)
            back.callback(os.fchdir, before)
        os.chdir(workspace)
        yield


def _chosen(given: Path | None) -> Path:
    named = given or (Path(os.environ["BASCULE_WORKSPACE"]) if os.environ.get("BASCULE_WORKSPACE") else None)
    if named is not None:
        if not (named / "inventories").is_dir():
            raise CallWrong(f"{named} is no workspace: it has no folder inventories/", "Name another: --workspace DIR")
        return named.resolve()
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / "inventories").is_dir():
            return directory
    raise CallWrong(
        f"no workspace at {here} or above it: a workspace has a folder inventories/",
        "Go there, or name it: --workspace DIR, or $BASCULE_WORKSPACE",
    )


def reading(workspace: Path) -> AbstractContextManager[Reader[State]]:
    """See `reports.reader.reading`; what was passed over is said to standard error."""
    from orchestrator.reports import reader

    return reader.reading(
        workspace, lambda why: print(f"bascule: {why}. bascule journal verify lists every fault", file=sys.stderr)
    )


def service_named(name: str, known: Iterable[str]) -> str:
    """The id of a service called by `client/name`, or by its bare name where only one client has it.

    Raises CallWrong.
    """
    ids = sorted(known)
    if name in ids or not ids:
        return name
    bare = [x for x in ids if x.rpartition("/")[2] == name]
    if len(bare) == 1:
        return bare[0]
    if bare:
        raise CallWrong(f"{name} is a service of several clients", "Say which: " + ", ".join(bare))
    raise CallWrong(f"there is no service {name}", _nearest(name, ids))


def subject_named(name: str, known: Iterable[str]) -> str:
    """The id of a service, or the name of a client, also as `client/`. Raises CallWrong."""
    ids = sorted(known)
    clients = sorted({x.partition("/")[0] for x in ids})
    if name.endswith("/") and name[:-1] in clients:
        return name[:-1]
    if name in clients:
        if services := [x for x in ids if x.rpartition("/")[2] == name]:
            either = ", or ".join([f"{name}/ for the client", *services])
            raise CallWrong(f"{name} is a client and a service", f"Say {either}")
        return name
    try:
        return service_named(name, ids)
    except CallWrong as wrong:
        if wrong.what.startswith("there is no"):
            raise CallWrong(f"there is no service or client {name}", _nearest(name, [*ids, *clients])) from None
        raise


def client_named(name: str, known: Iterable[str]) -> str:
    """The name of a client. Raises CallWrong."""
    clients = sorted(set(known))
    if name not in clients:
        raise CallWrong(f"there is no client {name}", _nearest(name, clients))
    return name


def clients_named(named: Iterable[str], model: Model, also: Iterable[str] = ()) -> set[str]:
    """The clients that were named, or all of them; `also`: those that the model does not know any more.

    Raises CallWrong.
    """
    known = {*also, *(x.client for x in model.services.values())}
    known |= {x.client for x in model.drills.values()} | {x.client for x in model.maintenance.values()}
    return {client_named(x, known) for x in named} or known


def model_in_force(journal: Reader[StateT]) -> Model:
    """The configuration at the journal's end. Raises CallWrong."""
    if journal.state.model is None:
        raise CallWrong("no configuration was ever in force here", "Start a daemon: bascule daemon")
    return journal.state.model


def _nearest(name: str, names: list[str]) -> str:
    tails = {x.rpartition("/")[2]: x for x in names}
    near = difflib.get_close_matches(name, [*names, *tails], n=3, cutoff=0.5)
    found = list(dict.fromkeys(tails.get(x, x) for x in near))
    return "Nearest: " + ", ".join(found) if found else "There are: " + ", ".join(names)
