"""The `bascule` command: one row for each verb, imported only when it is called.

The one rule it keeps: until the verb is known, only cyclopts, the streams and the locale are imported. So `bascule
--help` and every refusal come at once.
"""

from __future__ import annotations

import sys

from cyclopts import App


def _version() -> str:
    """What is installed; nothing is looked up before it is asked for."""
    from importlib.metadata import version

    return version("bascule")


app = App(name="bascule", version=_version, help="Tiered, fenced and timed failover, with plain Ansible playbooks.")

app.command("orchestrator.cli.lab:app", name="lab", help="A real multi-site network on this machine.")
app.command("orchestrator.cli.validate:validate", help="Read the whole configuration and name every fault at once.")
app.command("orchestrator.cli.simulate:simulate", help="Seeded disasters on your own plan, in a virtual world.")
app.command("orchestrator.cli.check:check", help="Ask checks once, now, and show what they answer.")
app.command("orchestrator.cli.playbook:app", name="playbook", help="Run Ansible playbooks as bascule does.")
app.command("orchestrator.cli.demo:demo", help="Three disasters and three tiers of failover, on the lab.")
app.command("orchestrator.cli.daemon:daemon", help="Watch, decide and act until told to stop.")
app.command("orchestrator.cli.reload:reload", help="Have the daemon read configuration and playbooks again.")
app.command("orchestrator.cli.journal:app", name="journal", help="Verify the journal, and print its head.")
app.command("orchestrator.cli.notify:app", name="notify", help="Test the ways to tell people.")
app.command("orchestrator.cli.status:status", help="The present state, and why: services, incidents, who watches.")
app.command("orchestrator.cli.ready:ready", name="ready", help="Can everything be seen and done? If not: what lacks?")
app.command("orchestrator.cli.incidents:incidents", help="What has happened: a list, or one in full.")
app.command("orchestrator.cli.report:app", name="report", help="The whole account of an incident or a period.")
app.command("orchestrator.cli.evidence:evidence", help="What is proven: every objective measured, predicted or not.")
app.command("orchestrator.cli.calendar:calendar", name="calendar", help="Drills, maintenance and due dates, as ICS.")
app.command("orchestrator.cli.findings:app", name="findings", help="What is to be improved, by whom and by when.")
app.command("orchestrator.cli.failover:failover", help="Move a service by one of its moves, or restore it.")
app.command("orchestrator.cli.failover:failback", help="Move a service home, or undo the move in effect.")
app.command("orchestrator.cli.drill:app", name="drill", help="Rehearse a move, or make it and lead it back.")
app.command("orchestrator.cli.approve:approve", help="Approve a run that waits for a person.")
app.command("orchestrator.cli.approve:reject", help="Say no to a run that waits for an approval.")
app.command("orchestrator.cli.approve:abort", help="Stop a run; what it has done stays done.")
app.command("orchestrator.cli.hold:hold", help="Stop automatic action.")
app.command("orchestrator.cli.hold:resume", help="Allow automatic action again, after a hold or a freeze.")
app.command("orchestrator.cli.hold:maintenance", help="Announce a maintenance window that begins now.")
app.command("orchestrator.cli.hold:suspect", help="Report a suspected compromise: every automatic move then asks.")
app.command("orchestrator.cli.hold:clear", help="Report that a suspected compromise is over.")


def main(argv: list[str] | None = None) -> None:
    """Run one verb; exit codes: 0 done, 1 it failed, 2 the call or the configuration is wrong, 3 a guard refused.

    141 where whoever read the output had gone before it was written, as a shell tells of any program in a pipe.
    """
    from cyclopts.exceptions import CycloptsError

    from orchestrator.cli.output import opened, written
    from orchestrator.cli.terminal import shown

    _speak_utf_8()
    opened()
    with shown():
        try:
            code: str | int | None = app(argv, exit_on_error=False, print_error=False)
        except CycloptsError as error:
            from orchestrator.cli.failures import misread

            code = misread(error)
        except SystemExit as ended:
            code = ended.code
        except (Exception, KeyboardInterrupt) as error:
            from orchestrator.cli.failures import explain

            code = explain(error)
    sys.exit(written(code))


def _speak_utf_8() -> None:
    """Have every program that we start, Ansible first of all, in a locale with which it starts."""
    import os

    from orchestrator.core.ansible import locale_that_does

    os.environ.update(locale_that_does(os.environ, _is_installed))


def _is_installed() -> bool:
    """Whether this machine has the locale that the environment names; ssh often hands on one that it has not."""
    import locale

    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error:
        return False
    locale.setlocale(locale.LC_ALL, before)
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
