"""`bascule daemon`: watch, decide and act until told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def daemon(
    *,
    workspace: Annotated[Path | None, Parameter(name=["--workspace", "-w"])] = None,
    log_format: Annotated[str | None, Parameter(name="--log")] = None,
    wait_for_lease: bool = True,
    new_epochs: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Run the daemon in the foreground. SIGTERM ends it, SIGHUP reloads the configuration.

    Parameters
    ----------
    workspace
        The directory with playbooks/, inventories/ and checks/; else $BASCULE_WORKSPACE, else the nearest parent.
    log_format
        text or json; else text on a terminal and JSON otherwise.
    wait_for_lease
        Stand by while another controller holds the lease, and take over when it lapses.
    new_epochs
        Have the targets count this workspace's epochs anew. Once, after an older journal was restored, and only when it
        is certain that no other controller of this workspace runs anywhere: nothing would refuse it.
    """
    import asyncio
    import sys

    from orchestrator.cli.failures import CallWrong, explain
    from orchestrator.cli.workspace import begun_in, find_workspace
    from orchestrator.daemon.logs import LAST_LINES_S, set_up_logs
    from orchestrator.daemon.serve import serve
    from orchestrator.daemon.threads import end_though_some_hang, tell_what_hangs

    if log_format not in (None, "text", "json"):
        raise CallWrong(f"--log {log_format}: there is text and json", "Without it, the daemon chooses")
    chosen = find_workspace(workspace)
    outlet = set_up_logs(log_format or ("text" if sys.stderr.isatty() else "json"))
    try:
        with begun_in(chosen):
            serving = serve(chosen, wait_for_lease=wait_for_lease, new_epochs=new_epochs, log_state=outlet.state)
            code = asyncio.run(serving)
    except (Exception, KeyboardInterrupt) as error:
        code = explain(error)  # here: after the last line of the log nothing more can be said
    finally:
        tell_what_hangs()
        outlet.drain(LAST_LINES_S)
    return end_though_some_hang(code)
