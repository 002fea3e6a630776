"""A dry run as an operator reads it: what would run where, in which order, and what each guard says.

It shows what the plan says and nothing else. A field that it does not know is shown as it is.
"""

from __future__ import annotations

from orchestrator.core.durations import numeral
from orchestrator.core.model import Json
from orchestrator.reports.text import Line, Part, line, wrap


def plan_lines(plan: Json, width: int = 100) -> list[Line]:
    """The lines of a plan: see `shell.oneshot.DryRun`."""
    if not isinstance(plan, dict):
        return [line(Part("the plan is empty", "yellow"))]
    lines: list[Line] = []
    accepted = plan.get("accepted", True)
    head = Part("would be done" if accepted else "would be refused", "bold green" if accepted else "bold red")
    reason, evidence = _text(plan.get("reason")), _text(plan.get("evidence"))
    why = ": ".join(x for x in (reason, evidence) if x)
    lines += [line(head, f" ({why})" if why else "", "; nothing has been changed")]
    move = _text(plan.get("move"))
    if move:
        there = " → ".join(x for x in (_text(plan.get("from_place")), _text(plan.get("to_place"))) if x)
        tier = f"tier {_text(plan.get('tier'))}, " if plan.get("tier") else ""
        lines.append(line("  move ", Part(move, "bold"), f"  ({tier}{there})" if there else ""))
    lines += _steps("steps, in this order", plan.get("steps"), width)
    lines += _steps(f"then back by {_text(plan.get('back'))}, in this order", plan.get("back_steps"), width)
    lines += _guards(plan.get("guards"), width)
    tiers = plan.get("tiers")
    if isinstance(tiers, list) and tiers:
        lines.append(line("  tiers"))
        for tier_ in tiers:
            if isinstance(tier_, dict):
                lines += _wrapped(f"    {_text(tier_.get('tier'))} {_text(tier_.get('move'))}  ", _answer(tier_), width)
    known = {
        "accepted", "reason", "evidence", "move", "from_place", "to_place", "tier", "steps", "guards", "tiers",
        "service", "word", "kind", "run", "back", "back_steps",
    }  # fmt: skip
    for key, value in plan.items():
        if key not in known and value not in (None, "", [], {}):
            lines += _wrapped(f"  {key.replace('_', ' ')}  ", _text(value), width)
    return lines


def _steps(title: str, steps: Json, width: int) -> list[Line]:
    if not isinstance(steps, list) or not steps:
        return []
    lines = [line(f"  {title}")]
    for number, step in enumerate(steps, 1):
        if not isinstance(step, dict):
            continue
        name = _text(step.get("name") or step.get("step"))
        lines.append(line(f"  {number:>3}. ", Part(name, "bold"), _bits(step)))
        hosts = step.get("hosts")
        if hosts:
            lines += _wrapped("       on ", _text(hosts), width)
        for key, label in (("asks", "waits for"), ("condition", "waits for"), ("note", "note"), ("tasks", "tasks")):
            if step.get(key):
                lines += _wrapped(f"       {label} ", _text(step.get(key)), width)
    return lines


def _bits(step: dict[str, Json]) -> str:
    bits = [_text(step[k]) for k in ("playbook", "text") if step.get(k)]
    if step.get("simulated"):
        bits.append("simulated: in check mode")
    if step.get("place"):
        bits.append(f"at {_text(step['place'])}")
    if step.get("timeout_s"):
        bits.append(f"at most {_text(step['timeout_s'])}s")
    return "  " + "  ".join(bits) if bits else ""


def _guards(guards: Json, width: int) -> list[Line]:
    if not isinstance(guards, list) or not guards:
        return []
    lines = [line("  guards")]
    for guard in guards:
        if not isinstance(guard, dict):
            continue
        passed = guard.get("ok", guard.get("passes", guard.get("passed")))
        mark = Part("✓ ", "green") if passed else Part("✗ ", "bold red")
        name = _text(guard.get("guard") or guard.get("name") or guard.get("reason"))
        reason_ = "" if passed else _text(guard.get("reason"))
        text = ": ".join(dict.fromkeys(x for x in (name, reason_, _text(guard.get("evidence"))) if x))
        first, *rest = wrap("      ", text, width)
        lines.append(line("    ", mark, first[6:]))
        lines += [line(x) for x in rest]
    return lines


def _answer(row: dict[str, Json]) -> str:
    return ": ".join(x for x in (_text(row.get("state")), _text(row.get("reason")), _text(row.get("evidence"))) if x)


def _wrapped(prefix: str, text: str, width: int) -> list[Line]:
    return [line(x) for x in wrap(prefix, text, width)]


def _text(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_text(x) for x in value)
    if isinstance(value, dict):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    if isinstance(value, float):
        return numeral(value)
    return str(value)
