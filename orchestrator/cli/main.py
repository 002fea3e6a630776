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


def main(argv: list[str] | None = None) -> None:
    """Run one verb; exit codes: 0 done, 1 it failed, 2 the call or the configuration is wrong, 3 a guard refused."""
    app(argv)


if __name__ == "__main__":
    main(sys.argv[1:])
