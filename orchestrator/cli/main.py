"""The `bascule` command: one row a verb, imported only when it is called.

The one rule it keeps: nothing but cyclopts and the streams is imported before the verb is known, so that
`bascule --help` and every refusal come at once.
"""

from __future__ import annotations

import sys

from cyclopts import App

app = App(name="bascule", help="Tiered, fenced and timed failover, with plain Ansible playbooks.")

app.command("orchestrator.cli.lab:app", name="lab", help="A real multi-site network on this machine.")
app.command("orchestrator.cli.validate:validate", help="Read the whole configuration and name every fault at once.")
app.command("orchestrator.cli.simulate:simulate", help="Seeded disasters on your own plan, in a virtual world.")
app.command("orchestrator.cli.check:check", help="Ask checks once, now, and show what they answer.")
app.command("orchestrator.cli.playbook:app", name="playbook", help="Run Ansible playbooks as bascule does.")
app.command("orchestrator.cli.demo:demo", help="Three disasters and three tiers of failover, on the lab.")
app.command("orchestrator.cli.daemon:daemon", help="Watch, decide and act until told to stop.")
app.command("orchestrator.cli.journal:app", name="journal", help="Look after the journal.")
app.command("orchestrator.cli.status:status", help="Services, incidents with tiers and budgets, holds, who watches.")
app.command("orchestrator.cli.incidents:incidents", help="What has happened: a list, or one in full.")
app.command("orchestrator.cli.report:report", help="The whole account of an incident: text, HTML page, JSON.")
app.command("orchestrator.cli.failover:failover", help="Bring a service back, or elsewhere, by one of its moves.")
app.command("orchestrator.cli.failover:failback", help="Bring a service home, or take back the move in effect.")
app.command("orchestrator.cli.approve:approve", help="Approve a run that waits for a person.")
app.command("orchestrator.cli.approve:reject", help="Say no to a run that waits for an approval.")
app.command("orchestrator.cli.approve:abort", help="Stop a run; what it has done stays done.")
app.command("orchestrator.cli.hold:hold", help="Stop automatic action.")
app.command("orchestrator.cli.hold:resume", help="Allow automatic action again, after a hold or a freeze.")
app.command("orchestrator.cli.hold:maintenance", help="Announce a maintenance window that begins now.")
app.command("orchestrator.cli.hold:suspect", help="Say that a compromise is suspected: every move then asks.")
app.command("orchestrator.cli.hold:clear", help="Say that a suspected compromise has been cleared up.")


def main(argv: list[str] | None = None) -> None:
    """Run one verb; exit codes: 0 done, 1 it failed, 2 the call or the configuration is wrong, 3 a guard refused."""
    from cyclopts.exceptions import CycloptsError

    from orchestrator.cli.terminal import shown

    with shown():
        try:
            app(argv, exit_on_error=False)
        except CycloptsError:
            sys.exit(2)  # cyclopts has said what is wrong
        except (Exception, KeyboardInterrupt) as error:
            from orchestrator.cli.failures import explain

            sys.exit(explain(error))


if __name__ == "__main__":
    main(sys.argv[1:])
