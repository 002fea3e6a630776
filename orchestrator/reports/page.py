"""One HTML page for one or several accounts: no script, no font, no picture from anywhere else.

The one rule it keeps: everything that came from a journal, a playbook or a person is escaped here, by `_t`; the page
can be mailed, printed and read in ten years.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

from orchestrator.core.durations import show_duration
from orchestrator.reports.incident_text import TITLES, figure_text, meter_texts, offset, percent, zoned
from orchestrator.reports.shape import Account, Figure, Moment
from orchestrator.reports.summary import rows
from orchestrator.reports.text import as_html, precise, value_of
from orchestrator.reports.timeline import CLASSES, timeline


def page(accounts: Sequence[Account], *, wall: float, title: str = "") -> str:
    """The whole document. `wall`: when it is made, seconds since 1970."""
    heading = title or (f"{accounts[0].service}: {accounts[0].id}" if len(accounts) == 1 else "What happened")
    body = [f"<header><h1>{_t(heading)}</h1><p class=made>Made by bascule, {_t(zoned(wall))}</p></header><main>"]
    if len(accounts) > 1:
        body.append(_summary(accounts))
    body += [_section(a, f"a{n}", single=len(accounts) == 1) for n, a in enumerate(accounts, 1)]
    body.append(
        "</main><footer><p>Times count from the first bad answer (of a planned move: from its start),"
        " unless a clock time is given. <b>Measured</b>:"
        " timed as it happened. <b>Predicted</b>: from earlier runs. <b>Assumed</b>: neither.</p></footer>"
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_t(heading)}</title><style>{_style()}</style></head><body>{''.join(body)}</body></html>\n"
    )


@cache
def _style() -> str:
    """`page.css`, without comments and line breaks."""
    text = (files("orchestrator.reports") / "page.css").read_text(encoding="utf-8")
    return " ".join(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).split())


def _t(text: object) -> str:
    return as_html(text)


def _head(*names: str) -> str:
    """A table's head; a name with a star is a column of text."""
    cells = (f'<th scope="col"{" class=text" if x.endswith("*") else ""}>{_t(x.rstrip("*"))}</th>' for x in names)
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def _why(*parts: str) -> str:
    return _t(": ".join(x for x in parts if x))


def _state(word: str) -> str:
    return f'<span class="state {_t(word.replace(" ", "-"))}">{_t(word)}</span>'


def _summary(accounts: Sequence[Account]) -> str:
    head, *body = rows(accounts)
    cells = "".join(f'<th scope="col">{_t(x)}</th>' for x in head)
    lines = "".join(
        f'<tr><th scope="row"><a href="#a{n}">{_t(r[0])}</a></th>'
        + "".join(f"<td>{_t(x)}</td>" for x in r[1:])
        + "</tr>"
        for n, r in enumerate(body, 1)
    )
    return (
        '<section aria-label="Summary"><h2>Summary</h2><div class=wide><table class=numbers>'
        f"<thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table></div></section>"
    )


def _section(a: Account, ident: str, *, single: bool) -> str:
    name = a.title or f"{'Planned move' if a.planned else 'Incident'} {a.id}"
    parts = [f'<section id="{ident}" aria-labelledby="{ident}-h">']
    parts.append(f'<h2 id="{ident}-h">{_t(name)} {_state(a.state)}</h2>')
    where = ""
    if a.from_place or a.to_place:
        where = f", {_t(a.from_place or 'no place')}"
        if a.to_place:
            where += f" → {_t(a.to_place)}{'' if a.move_verified else ' (not verified)'}"
    why = _why(a.reason, a.evidence)
    parts.append(f"<p><b>{_t(a.service)}</b>{where}, {_t(zoned(a.began_wall))}<br>{why}</p>")
    parts.append(_figures(a))
    parts.append(f"<div class=wide>{timeline(a, ident)}</div>{_legend(a)}")
    parts += [_phases(a), _tiers(a), _runs(a)]
    parts += [
        _moments("Decisions", a.decisions),
        _moments("Checks", a.checks),
        _moments("Placement", a.changes),
        _moments("Words", a.words),
        _moments("Notices", a.notices),
    ]
    if a.remarks:
        parts.append("<h3>Notes</h3><ul>" + "".join(f"<li>{_t(x)}</li>" for x in a.remarks) + "</ul>")
    parts.append("</section>")
    return "".join(parts)


def _figures(a: Account) -> str:
    cards = []
    if not a.planned:
        cards.append(_card("RTA", a.rta, "RTO", a.rto_s, a.rto_met))
    if a.rpo_s is not None or a.rpa.seconds is not None:
        cards.append(_card("RPA", a.rpa, "RPO", a.rpo_s, a.rpo_met))
    if a.meter is not None:
        texts = "".join(f"<li>{_t(x)}</li>" for x in meter_texts(a.meter, a.rpo_s))
        cards.append(
            f'<div class="card user"><h3>End user</h3><ul>{texts}</ul>'
            f"<p class=source>measured by the end user's meter ({_t(a.meter.meter)})</p></div>"
        )
    return f"<div class=cards>{''.join(cards)}</div>"


def _card(name: str, figure: Figure, objective: str, of_s: float | None, met: bool | None) -> str:
    value = value_of(figure, "–")
    verdict = {True: "met", False: "missed", None: ""}[met]
    of = f" of {objective} {show_duration(of_s)}" if of_s is not None else ""
    mark = f" {_state(verdict)}" if verdict else ""
    return (
        f"<div class=card><h3>{name}</h3><p class=figure>{_t(value)}<small>{_t(of)}</small>{mark}</p>"
        f"<p class=source>{_t(figure.known.value)}: {_t(figure.source)}</p></div>"
    )


def _legend(a: Account) -> str:
    items = "".join(
        f'<li><span class="key bar {CLASSES.get(p.phase, "decide")}"></span>{_t(p.phase)}</li>' for p in a.phases
    )
    user = '<li><span class="key bar outage"></span>end user without service</li>' if a.meter else ""
    return f"<ul class=legend>{items}{user}</ul>"


def _phases(a: Account) -> str:
    total = sum(p.seconds for p in a.phases)
    lines = [(p.phase, p.seconds, p.share) for p in a.phases]
    lines.append(("together", total, total / a.rto_s if a.rto_s else None))
    body = "".join(
        f'<tr><th scope="row">{_t(n)}</th><td>{precise(s)}</td><td>{percent(share)}</td></tr>' for n, s, share in lines
    )
    instants = "".join(
        f'<tr><th scope="row">{_t(TITLES[n])}</th><td>{offset(at)}</td></tr>'
        for n, at in a.milestones.items()
        if at is not None
    )
    return (
        f"<div class=pair><div><h3>Phases</h3><table class=numbers>{_head('phase', 'took', 'of RTO')}"
        f"<tbody>{body}</tbody></table></div>"
        f"<div><h3>Instants</h3><table class=numbers>{_head('instant', 'at')}"
        f"<tbody>{instants}</tbody></table></div></div>"
    )


def _tiers(a: Account) -> str:
    if not a.tiers:
        return ""
    body = "".join(
        f'<tr><td>{t.tier}</td><th scope="row">{_t(t.move)}</th><td>{_state(t.state)}</td>'
        f"<td>{_why(t.reason, t.evidence)}</td></tr>"
        for t in a.tiers
    )
    head = _head("tier", "move", "state", "why")
    return f"<h3>Tiers</h3><div class=wide><table>{head}<tbody>{body}</tbody></table></div>"


def _runs(a: Account) -> str:
    found = []
    head = _head("step", "start", "end", "took", "of RTO", "budget left", "how it ended*")
    for run in a.runs:
        who = f", asked by {run.who}" if run.who else ""
        approved = f", approved by {run.approved_by}" if run.approved_by else ""
        against = f"<p>Against the guards: {_t(', '.join(run.overrides))}</p>" if run.overrides else ""
        body = "".join(_step_rows(a, run.run))
        found.append(
            f"<h3>Run {_t(run.run)}: {_t(run.move)}</h3><p>{_t(run.origin)}{_t(who)}{_t(approved)}; {_t(run.state)}."
            f" Usually: {_t(figure_text(run.predicted))}.</p>{against}"
            f"<div class=wide><table class=numbers>{head}<tbody>{body}</tbody></table></div>"
        )
    return "".join(found)


def _step_rows(a: Account, run: str) -> Iterable[str]:
    for s in a.steps:
        if s.run != run:
            continue
        took = precise(s.took_s) if s.took_s is not None else "–"
        left = precise(s.budget_left_s) if s.budget_left_s is not None else ""
        again = f", attempt {s.attempts}" if s.attempts > 1 else ""
        measured = ", ".join(f"{k} {v:g}" for k, v in s.measures.items())
        why = _why(f"{s.state}{again}", s.reason, s.evidence, measured)
        looks = "".join(f"<br>{_t(x)}" for x in (*s.looks, *(f"not guarded: {host}" for host in s.unguarded)))
        yield (
            f'<tr><th scope="row">{_t(s.step)}</th><td>{offset(s.from_s)}</td><td>{offset(s.to_s)}</td>'
            f"<td>{took}</td><td>{percent(s.share)}</td><td>{left}</td>"
            f"<td class=text>{why}{looks}</td></tr>"
        )
        for t in s.tasks:
            if t.status == "skipped":
                continue
            yield (
                f"<tr class=task><td class=text>{_t(t.host)}: {_t(t.name)}</td><td>{offset(t.from_s)}</td><td></td>"
                f"<td>{precise(t.took_s)}</td><td></td><td></td><td class=text>{_t(t.status)}</td></tr>"
            )


def _moments(title: str, moments: Sequence[Moment]) -> str:
    if not moments:
        return ""
    body = "".join(
        f"<tr><td class=at>{offset(m.at_s)}</td><td>{_t(m.who + ': ' if m.who else '')}{_t(m.what)}</td>"
        f"<td>{_why(m.reason, m.evidence)}</td></tr>"
        for m in moments
    )
    return f"<h3>{title}</h3><div class=wide><table class=moments><tbody>{body}</tbody></table></div>"
