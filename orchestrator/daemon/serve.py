"""The always-on daemon: a controller, its socket, and the signals that control it.

The one rule it keeps: it ends cleanly. SIGTERM and SIGINT let a fence that has begun come to its proof, then stop. A
playbook that runs goes on in its own process and is adopted by the next controller. SIGHUP reloads a valid
configuration and keeps the old one otherwise. A lost lease ends it at once.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path

import structlog

from orchestrator.core.awareness.sight import sight
from orchestrator.core.codec import encode
from orchestrator.core.events import WordSpoken
from orchestrator.core.model import Json
from orchestrator.core.reasons import Reason
from orchestrator.daemon.address import leave, where_to_listen
from orchestrator.daemon.request_handler import Desk
from orchestrator.daemon.socket import Message, WordsSocket
from orchestrator.daemon.threads import allow_threads
from orchestrator.journal.journal import JournalError
from orchestrator.shell.dry_run import DryRun, plan_of
from orchestrator.shell.lease import LeaseLost, LeaseRefused
from orchestrator.shell.wiring import Controller, Watchers

log = structlog.get_logger(__name__)

WAIT_S = 1.0  # between two tries to take the lease
FENCE_PATIENCE_S = 120.0  # how long a stop waits for a fence that has begun
FILES_WANTED = 16384  # each question that needs a connection has one open


async def serve(
    workspace: Path,
    *,
    wait_for_lease: bool = True,
    new_epochs: bool = False,
    log_state: Callable[[], Json] = lambda: None,
) -> int:
    """Run until told to stop; the exit code: 0 stopped, 1 lost the lease. `log_state` tells how its log does.

    `new_epochs`: see `Controller`.

    Raises ConfigurationInvalid, LeaseRefused (without `wait_for_lease`), JournalError.
    """
    loop = asyncio.get_running_loop()
    stop, hang_up = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up.set)
    _allow_files()
    allow_threads(loop)
    controller = await _started(workspace, wait_for_lease, new_epochs, stop)
    if controller is None:
        return 0
    desk = _desk(controller, log_state)
    words = WordsSocket(where_to_listen(controller.workspace), desk.handle)
    desk.publish = words.publish
    try:
        await words.start(heir=True)
        log.info(
            "daemon is up", workspace=str(controller.workspace), epoch=controller.lease.epoch, socket=str(words.path)
        )
        _tell_systemd("READY=1")
        gc.collect()
        gc.freeze()  # the model and its like stay as long as the daemon: the collector need not look at them again
        return await _until_stopped(controller, stop, hang_up)
    finally:
        _tell_systemd("STOPPING=1")
        await words.stop()
        leave(words.path, controller.workspace)
        await controller.close()
        log.info("daemon has stopped")


async def _started(workspace: Path, wait: bool, new_epochs: bool, stop: asyncio.Event) -> Controller | None:
    """A controller that holds the lease; None when told to stop before."""
    told, after = "", None
    while not stop.is_set():
        controller = Controller(workspace, new_epochs=new_epochs, after=after)
        try:
            if await _unless_stopped(stop, controller.start()):
                return controller
        except (LeaseRefused, JournalError) as refused:
            if not wait or (isinstance(refused, JournalError) and after is None):
                raise
            waits = "waiting for the lease"
            if isinstance(refused, LeaseRefused):
                after = refused.head
            else:  # whoever begins anew here forgets holds and placements: that is for a person to say, by a restart
                waits = "waiting for the journal"
            if told != waits:
                log.warning(waits, why=str(refused))
                told = waits
            await _unless_stopped(stop, asyncio.sleep(WAIT_S))
    return None


async def _until_stopped(controller: Controller, stop: asyncio.Event, hang_up: asyncio.Event) -> int:
    try:
        await _unless_stopped(stop, controller.lost(), _reload_when_told(controller, hang_up))
    except LeaseLost as why:
        log.error("stopped: another controller decides", why=str(why))
        return 1
    await _let_fences_end(controller)
    return 0


async def _reload_when_told(controller: Controller, hang_up: asyncio.Event) -> None:
    while True:
        await hang_up.wait()
        hang_up.clear()
        _tell_systemd("RELOADING=1")
        await controller.reload()
        _tell_systemd("READY=1")


async def _unless_stopped(stop: asyncio.Event, *works: Coroutine[None, None, None]) -> bool:
    """Whether one of these came to its end before the stop; whatever else is at work is given up, also what hangs.

    Raises what that one raises.
    """
    doing, told = [asyncio.create_task(work) for work in works], asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*doing, told}, return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in doing if task.done()]
        for task in ended:
            task.result()
        return bool(ended)
    finally:
        for one in (*doing, told):
            one.cancel()
        await asyncio.gather(*doing, told, return_exceptions=True)


async def _let_fences_end(controller: Controller) -> None:
    """Wait for fences that have begun to be proven or to fail."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + FENCE_PATIENCE_S
    while loop.time() < ends:
        fencing = [x.id for x in controller.shell.engine.decided.unfinished_runs() if _is_fencing(controller, x.id)]
        if not fencing:
            return
        log.info("stopping: a fence comes to its end first", runs=fencing)
        await asyncio.sleep(0.5)


def _is_fencing(controller: Controller, run: str) -> bool:
    step = controller.shell.engine.decided.runs[run].current()
    return step is not None and step.began_at is not None and step.traits.fences


def _desk(controller: Controller, log_state: Callable[[], Json]) -> Desk:
    async def dry_run(word: WordSpoken) -> Json:
        if (why := controller.shell.broken) is not None:  # what it would do of itself once it can is no run at work
            return encode(DryRun(False, Reason.CANNOT_ACT.value, why, word.subject))
        inventories = controller.files.beside.to_play()
        engine, now = controller.shell.engine.copy(), controller.axis.now()
        return encode(await asyncio.to_thread(plan_of, engine, word, now, controller.workspace, inventories))

    def seen() -> Message:
        shell = controller.shell
        found = encode(sight(shell.engine.transaction(controller.axis.now()))) if shell.broken is None else None
        return {**controller.condition(), "log": log_state(), "sight": found, "broken": shell.broken}

    desk = Desk(controller.speak, dry_run, controller.axis.now, controller.prober.told, seen, reload=controller.reload)
    desk.journal = controller.upkeep.told
    controller.watchers = Watchers(desk.entry, desk.progress)
    return desk


def _allow_files() -> None:
    """As many open files as are wanted, where the hard limit permits it; what is started gets them too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _tell_systemd(state: str) -> None:
    """sd_notify(3): one datagram to $NOTIFY_SOCKET, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.connect("\0" + address[1:] if address.startswith("@") else address)
            out.send(state.encode())
    except OSError as error:
        log.warning("systemd could not be told", state=state, why=str(error))
