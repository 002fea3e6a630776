"""`bascule report`: the whole account of an incident, a planned move, or a client's period; and the check of a report.

The one rule it keeps: a file is written whole or not at all, and holds nothing that the journal does not say.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from orchestrator.cli.failures import CallWrong
from orchestrator.cli.incidents import story_named
from orchestrator.cli.output import put_file
from orchestrator.cli.workspace import find_workspace
from orchestrator.reports.reader import ages_since, reading_all

if TYPE_CHECKING:
    from orchestrator.reports.papers.excerpt import Asked, Subject
    from orchestrator.reports.papers.printing import Papers
    from orchestrator.reports.papers.sealing import Checked
    from orchestrator.reports.reader import Reader
    from orchestrator.reports.stories import Stories

app = App(name="report", help="The whole account of an incident or a period: text, HTML, Markdown, JSON, PDF.")
To = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


@app.default
def report(
    *ids: str,
    html: Path | None = None,
    json_to: Annotated[str | None, Parameter(name="--json", allow_leading_hyphen=True)] = None,
    markdown: To = None,
    pdf: Path | None = None,
    lang: Literal["en", "fr"] = "en",
    for_: Annotated[Literal["provider", "client"], Parameter(name="--for")] = "provider",
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: Annotated[str | None, Parameter(name="--to")] = None,
    schema: Annotated[bool, Parameter(negative="")] = False,
    meter: Path | None = None,
    workspace: Path | None = None,
) -> int:
    """Tell incidents, moves or a client's period in full: the split clock, steps, tiers, words, notices, findings.

    Parameters
    ----------
    ids
        Ids of incidents, runs (`bascule incidents` lists them) or drills, or a client.
    html
        Write one self-contained page there, with the timeline and the report's own file in it.
    json_to
        Write the report's own file there: the report, and what it is worked out from; - for standard output.
    markdown
        Write it as Markdown there; - for standard output.
    pdf
        Write it as PDF there; needs the extra: pip install bascule[pdf].
    lang
        The language of page, Markdown and PDF. What the journal says is not translated.
    for_
        For the client: without the provider's internals, and without any other client.
    from_
        Of a client: the first day, 2026-10-01 (UTC).
    to
        Of a client: the last day, 2026-12-31 (UTC).
    schema
        Print the JSON Schema of the report's own file.
    meter
        A JSON file with the end user's meter account by id; it is shown beside ours, in the text alone.
    workspace
        The workspace; else $BASCULE_WORKSPACE, else the nearest parent with inventories/.
    """
    if schema:
        from importlib.resources import files

        sys.stdout.write((files("orchestrator.reports.papers") / "report.schema.json").read_text(encoding="utf-8"))
        return 0
    if not ids:
        raise CallWrong("a report of what?", "Give the id of an incident or a run: bascule incidents lists them")
    written = [x for x in (html, json_to, markdown, pdf) if x is not None]
    period = from_ is not None or to is not None
    if not written and not period and for_ == "provider" and lang == "en":
        return _as_text(ids, _meters(meter), workspace)
    if len(ids) > 1:
        raise CallWrong(
            f"a file holds one report, and {len(ids)} ids are given",
            "Give one of them, or the client: bascule report CLIENT --from DAY --to DAY",
        )
    if meter is not None:
        raise CallWrong(
            "a meter's file is no record, and a report on paper holds nothing else", "Leave --meter out, or the files"
        )
    papers = _papers(find_workspace(workspace), ids[0], from_, to, for_, lang)
    _write(papers, html, json_to, markdown, pdf)
    if not written:
        sys.stdout.write(papers.markdown())
    return 0


@app.command
def verify(
    file: Path,
    /,
    *,
    head: Annotated[list[str] | None, Parameter(negative="")] = None,
    workspace: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Work every figure of a report out again from the records that it carries. Exit code 1: something was changed.

    It needs no workspace. A file of which anything was changed is refused, and what was changed is named.

    Parameters
    ----------
    file
        A report's file (`--json`), or a page that carries it (`--html`).
    head
        A head of the journal that was kept elsewhere, NUMBER:HASH, or a file that has some. Several may be given.
    workspace
        Compare with the journal of this workspace as well.
    as_json
        One JSON object on standard output.
    """
    from orchestrator.journal.anchors import heads_in
    from orchestrator.reports.papers.heads import Wrong
    from orchestrator.reports.papers.maker import made_by
    from orchestrator.reports.papers.printing import verified
    from orchestrator.reports.papers.sealing import Checked, Unreadable, by_another

    heads = [h for given in head or () for h in heads_in(given) or heads_in(_read(Path(given)))]
    try:
        found = verified(_read(file), made_by(), heads)
    except Unreadable as error:
        found = Checked((Wrong("file", str(error)),))
    more, old = _against(found, workspace) if workspace is not None and found.slice is not None else ([], [])
    more += [str(x) for x in by_another(found.made_by, made_by())] if more and not found.wrong else []
    wrong = [*(str(x) for x in found.wrong), *more]
    if as_json:
        told = {"wrong": wrong, "figures": found.figures, "entries": found.entries, "not_shown": list(found.not_shown)}
        sys.stdout.write(json.dumps(told) + "\n")
        return 1 if wrong else 0
    from orchestrator.core.durations import counted
    from orchestrator.reports.text import line, show

    if wrong:
        show([line(f"{file}: refused"), *(line(f"  {x}") for x in wrong)])
        return 1
    values, entries = counted(found.figures, "value"), "1 entry" if found.entries == 1 else f"{found.entries} entries"
    told_of = f"{values} worked out again from {entries}, each as it says"
    compared = [line("  each entry is the one that the journal has")] if workspace is not None else []
    compared += [line(f"  configuration {x} was not compared: the journal keeps it no more") for x in old]
    show([line(f"{file}: {told_of}"), *compared, *(line(f"  {x}") for x in found.not_shown)])
    return 0


def _as_text(ids: tuple[str, ...], meters: dict[str, dict[str, object]], workspace: Path | None) -> int:
    from orchestrator.cli.status import columns
    from orchestrator.reports.account import account
    from orchestrator.reports.incident_text import account_lines
    from orchestrator.reports.papers.drill import of_drill
    from orchestrator.reports.text import show

    with reading_all(find_workspace(workspace)) as journal:
        wall = time.time()
        now, clock, unwatched_s = journal.now(wall), journal.state.clock, journal.unwatched_s(wall)
        for name in ids:
            if (
                journal.state.find(name) is None
                and not of_drill(journal.state, name)
                and name in _clients(journal.state)
            ):
                raise _when(name)
        told = [
            account(story, clock, now, meters.get(story.id), unwatched_s=unwatched_s)
            for x in ids
            for story in of_drill(journal.state, x) or [story_named(journal, x)]
        ]
    for index, one in enumerate(told):
        if index:
            sys.stdout.write("\n")
        show(account_lines(one, columns()))
    return 0


def _papers(workspace: Path, name: str, from_: str | None, to: str | None, edition: str, language: str) -> Papers:
    """The papers of an incident, of a move, or of a client's period."""
    from orchestrator.reports.papers.edition import beyond, for_client
    from orchestrator.reports.papers.excerpt import ages_from
    from orchestrator.reports.papers.maker import made_by
    from orchestrator.reports.papers.narrowing import carried
    from orchestrator.reports.papers.printing import Papers

    with reading_all(workspace) as journal:
        asked = _asked(journal)
        subject = _subject(journal, asked, name, from_, to)
        since = ages_from(subject, journal.state.clock.wall)
        asked = replace(asked, ages=ages_since(workspace, since, subject.services))
        end = journal.state.last.seq if journal.state.last is not None else 0
        found = carried(subject, journal.state, lambda: journal.told_at(end), asked)
        if edition == "client":
            found = for_client(found, beyond(found, journal.state))
    return Papers(found, made_by(), language)


def _asked(journal: Reader[Stories]) -> Asked:
    """Now, with the journal read up to the end that is named."""
    from orchestrator.reports.papers.excerpt import Asked

    head = journal.head()
    while journal.more():
        head = journal.head()
    wall = time.time()
    return Asked(journal.now(wall), wall, journal.unwatched_s(wall), head)


def _subject(journal: Reader[Stories], asked: Asked, name: str, from_: str | None, to: str | None) -> Subject:
    from orchestrator.reports.papers.drill import of_drill
    from orchestrator.reports.papers.excerpt import subject_of
    from orchestrator.reports.papers.period import period_of
    from orchestrator.reports.papers.shape import ReportKind

    stories, now = journal.state, asked.now
    model = stories.model
    clients = _clients(stories)
    if from_ is None and to is None and (runs := of_drill(stories, name)):
        return subject_of(runs, stories, now, ReportKind.DRILL, name)
    if from_ is None and to is None and name not in clients:
        story = story_named(journal, name)
        kind = ReportKind.INCIDENT if story.episodes else ReportKind.PLANNED_MOVE
        return subject_of([story], stories, now, kind, story.id)
    if name not in clients:
        there = f"There are: {', '.join(sorted(clients))}" if clients else "Nothing has happened here yet"
        raise CallWrong(f"a report of a time is of a client, and there is no client {name}", there)
    if from_ is None or to is None:
        raise _when(name)
    begin, end = _day(from_, "--from"), _day(to, "--to") + timedelta(days=1)
    if end <= begin:
        raise CallWrong(f"--to {to} lies before --from {from_}", "Give the first day, then the last")
    if begin.timestamp() > max(asked.wall, stories.last.wall if stories.last is not None else 0.0):
        raise CallWrong(f"--from {from_} has not begun yet (UTC)", "Give a first day that has")
    services = [s for s in (model.services if model is not None else ()) if s.partition("/")[0] == name]
    return period_of(stories, now, name, services, begin.timestamp(), end.timestamp())


def _clients(stories: Stories) -> set[str]:
    """Those of today, and those that anything ever happened to."""
    configured = stories.model.services if stories.model is not None else ()
    return {s.partition("/")[0] for s in (*configured, *(x.service for x in stories.stories.values()))}


def _when(client: str) -> CallWrong:
    return CallWrong(f"{client} is a client: from when to when?", f"bascule report {quote(client)} --from DAY --to DAY")


def _day(text: str, option: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise CallWrong(f"{option} {text} is no day", f"Write it as year-month-day: {option} 2026-10-01") from None


def _against(found: Checked, workspace: Path) -> tuple[list[str], list[str]]:
    """What the journal says otherwise, and which configurations it keeps no more."""
    from orchestrator.reports.papers.comparing import Kept, against, not_compared

    if found.slice is None:
        return [], []
    with reading_all(find_workspace(workspace)) as journal:
        kept = Kept(journal.state, journal.told, journal.differs, _asked(journal), journal.told_at)
        wrong = [f"{x} ({workspace})" for x in against(found.slice, kept)]
        return wrong, not_compared(found.slice, journal.state)


def _write(papers: Papers, html: Path | None, json_to: str | None, markdown: str | None, pdf: Path | None) -> None:
    if json_to is not None:
        _put(json_to, papers.file)
    if markdown is not None:
        _put(markdown, papers.markdown())
    if html is not None:
        put_file(html, papers.html())
        sys.stderr.write(f"{html}: written\n")
    if pdf is not None:
        from orchestrator.reports.papers.typeset import SET, NoTypesetter

        try:
            put_file(pdf, papers.pdf())
        except NoTypesetter as error:
            raise CallWrong(str(error), SET) from None
        sys.stderr.write(f"{pdf}: written\n")


def _put(to: str, text: str) -> None:
    if to == "-":
        sys.stdout.write(text)
    else:
        put_file(Path(to), text)
        sys.stderr.write(f"{to}: written\n")


def _read(path: Path) -> str:
    from orchestrator.reports.papers.sealing import Unreadable

    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"byte {error.start} is no UTF-8: it is no report, or it was changed there") from None


def _meters(path: Path | None) -> dict[str, dict[str, object]]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CallWrong(f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(x, dict) for x in found.values()):
        raise CallWrong(f"{path} must be a JSON object: id to an object with outage_s, lost, …")
    return found
