"""Writes the demo's figures into the documents: `scripts/demo_picture.py out.json`.

It draws docs/demo.svg, writes the table in docs/benchmarks.md, and the three headlines in README.md.

The one rule it keeps: no figure in the documents is typed by hand. All come from one run of
`make demo ARGS="--json out.json"`, and the machine is named (`--machine "2 cores, shared"`).
"""

from __future__ import annotations

import argparse
import json
import os
import re
from html import escape
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
COLOURS = {
    "detect": "#f2b134",
    "decide": "#4c78a8",
    "wait for a human": "#b279a2",
    "wait for a dependency": "#9ecae9",
    "fence": "#e45756",
    "execute": "#54a24b",
    "verify": "#2f4b7c",
}
USER = "#8c2d04"
WIDTH, LEFT, TOP, ACT, BAR = 960, 24, 66, 96, 22
WRITTEN = "(written by scripts/demo_picture.py from the demo's JSON)"


def shown(seconds: float | None) -> str:
    """Seconds as a person reads them."""
    if seconds is None:
        return "–"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def picture(told: dict[str, Any], machine: str) -> str:
    """The SVG: one row an act, all on one scale."""
    acts = [a for a in told["acts"] if a["account"]]
    longest = max(max(a["account"]["rta"]["seconds"] or 0, _user_to(a)) for a in acts) * 1.02
    scale = (WIDTH - 2 * LEFT) / longest
    height = TOP + ACT * len(acts) + 30
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="13" role="img" aria-label="The three acts of the demo: time by phase, and the end user\'s outage">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(
            LEFT, 24, "Three disasters, three tiers: from the first bad answer to the verified recovery", 16, bold=True
        ),
    ]
    used = [p for p in COLOURS if any(s["phase"] == p for a in acts for s in a["account"]["stretches"])]
    x = float(LEFT)
    for name, colour in [*((p, COLOURS[p]) for p in used), ("end user's outage", USER)]:
        out += [f'<rect x="{x:.0f}" y="38" width="11" height="11" fill="{colour}"/>', _text(x + 16, 48, name)]
        x += 34 + 7.2 * len(name)
    for row, act in enumerate(acts):
        out += _act(act, _by(told, row), TOP + row * ACT, scale)
    out += [_text(LEFT, height - 10, f"Measured by the demo itself on {machine}.", 11, "#666666"), "</svg>"]
    return "\n".join(out) + "\n"


def _act(act: dict[str, Any], by: str, top: float, scale: float) -> list[str]:
    account, meter = act["account"], act["account"]["meter"]
    rta_s = account["rta"]["seconds"]
    share = f", {rta_s / account['rto_s']:.1%} of the RTO" if account["rto_s"] else ""
    out = [
        _text(LEFT, top + 16, account["title"], 14, bold=True),
        _text(WIDTH - LEFT, top + 16, f"{by}: {shown(rta_s)}{share}", anchor="end"),
    ]
    for stretch in account["stretches"]:
        wide = (stretch["to_s"] - stretch["from_s"]) * scale
        x = LEFT + max(0.0, stretch["from_s"]) * scale
        title = f"{stretch['phase']} {shown(stretch['to_s'] - stretch['from_s'])}"
        colour = COLOURS.get(stretch["phase"], "#bbbbbb")
        out.append(
            f'<rect x="{x:.1f}" y="{top + 24}" width="{max(wide, 0.8):.1f}" height="{BAR}" fill="{colour}">'
            f"<title>{escape(title)}</title></rect>"
        )
        if wide > 7.5 * len(title):
            out.append(_text(x + wide / 2, top + 24 + BAR - 6, title, 12, "#ffffff", anchor="middle"))
    if meter and meter.get("outage_from_s") is not None:
        x = LEFT + max(0.0, meter["outage_from_s"]) * scale
        wide = (meter["outage_to_s"] - max(0.0, meter["outage_from_s"])) * scale
        lost = "" if meter["lost"] is None else f", {meter['lost']} acknowledged transactions lost"
        out += [
            f'<rect x="{x:.1f}" y="{top + 50}" width="{wide:.1f}" height="8" fill="{USER}"/>',
            _text(LEFT, top + 74, f"end user: {shown(meter['outage_s'])} without a transaction{lost}", 12, "#444444"),
        ]
    return out


def _user_to(act: dict[str, Any]) -> float:
    meter = act["account"]["meter"] or {}
    return float(meter.get("outage_to_s") or 0.0)


def _by(told: dict[str, Any], row: int) -> str:
    heading, *body = told["summary"]
    return str(body[row][heading.index("by")])


def _text(
    x: float, y: float, text: str, size: int = 13, fill: str = "#222222", anchor: str = "", bold: bool = False
) -> str:
    more = (f' text-anchor="{anchor}"' if anchor else "") + (' font-weight="bold"' if bold else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}"{more}>{escape(text)}</text>'


def figures(told: dict[str, Any], machine: str) -> list[str]:
    """The table for docs/benchmarks.md, as the demo's own summary has it."""
    heading, *body = told["summary"]
    return [
        f"Measured by the demo itself on {machine}; the whole demo took {shown(told['took_s'])}.",
        "",
        "| " + " | ".join(heading) + " |",
        "|" + "---|" * len(heading),
        *("| " + " | ".join(row) + " |" for row in body),
        "",
        "RTA, RPA: recovery time and recovery point *actual*. The last three columns are the end user's own account.",
    ]


def headlines(told: dict[str, Any], machine: str) -> list[str]:
    """Three figures for README.md: one line an act."""
    heading, *body = told["summary"]
    acts = [dict(zip(heading, row, strict=True)) for row in body]
    return [
        f"Measured by the demo itself on {machine}:",
        "",
        *(
            f"{act['']}. Recovered in **{act['RTA']}** by {act['by']} (RTO {act['RTO']}).\n"
            f"   The end user: {act['user: outage']} without service, {act['lost']} acknowledged transactions lost."
            for act in acts
        ),
    ]


def replaced(text: str, name: str, lines: list[str]) -> str:
    """A document with its block of this name written anew. Raises ValueError unless it has exactly one."""
    begin, end = f"<!-- {name}: begin", f"<!-- {name}: end -->"
    new = "\n".join([f"{begin} {WRITTEN} -->", *lines, end])
    text, count = re.subn(re.escape(begin) + ".*?" + re.escape(end), lambda _: new, text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"expected one block between {begin} … --> and {end}, found {count}")
    return text


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description="Write the demo's figures into the documents, from the demo's JSON.")
    parser.add_argument("json", type=Path)
    parser.add_argument("--machine", default=f"a machine with {os.cpu_count()} cores, shared with other work")
    given = parser.parse_args()
    told = json.loads(given.json.read_text(encoding="utf-8"))
    if not told["ok"]:
        parser.error(f"{given.json}: not every act recovered; no picture of that")
    (HOME / "docs" / "demo.svg").write_text(picture(told, given.machine), encoding="utf-8")
    for page, name, lines in (
        (HOME / "README.md", "demo headlines", headlines(told, given.machine)),
        (HOME / "docs" / "benchmarks.md", "demo figures", figures(told, given.machine)),
    ):
        page.write_text(replaced(page.read_text(encoding="utf-8"), name, lines), encoding="utf-8")


if __name__ == "__main__":
    main()
