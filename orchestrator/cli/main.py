"""The `bascule` command: one row a verb, imported only when it is called.

The one rule it keeps: nothing but cyclopts is imported before the verb is known, so that `bascule --help` and
every refusal come at once.
"""

from __future__ import annotations

import sys

from cyclopts import App

app = App(name="bascule", help="Tiered, fenced and timed failover, with plain Ansible playbooks.")

app.command("orchestrator.cli.lab:app", name="lab")
app.command("orchestrator.cli.validate:validate")
app.command("orchestrator.cli.playbook:app", name="playbook")
app.command("orchestrator.cli.daemon:daemon")
app.command("orchestrator.cli.status:status")
app.command("orchestrator.cli.incidents:incidents")
app.command("orchestrator.cli.report:report")
app.command("orchestrator.cli.failover:failover")
app.command("orchestrator.cli.failover:failback")
app.command("orchestrator.cli.approve:approve")
app.command("orchestrator.cli.approve:reject")
app.command("orchestrator.cli.approve:abort")
app.command("orchestrator.cli.hold:hold")
app.command("orchestrator.cli.hold:resume")
app.command("orchestrator.cli.hold:maintenance")
app.command("orchestrator.cli.hold:suspect")
app.command("orchestrator.cli.hold:clear")


def main(argv: list[str] | None = None) -> None:
    """Run one verb; exit codes: 0 done, 1 it failed, 2 the call or the configuration is wrong, 3 a guard refused."""
    from cyclopts.exceptions import CycloptsError

    try:
        app(argv, exit_on_error=False)
    except CycloptsError:
        sys.exit(2)  # cyclopts has said what is wrong
    except (Exception, KeyboardInterrupt) as error:
        from orchestrator.cli.failures import explain

        sys.exit(explain(error))


if __name__ == "__main__":
    main(sys.argv[1:])
