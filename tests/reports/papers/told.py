"""Slices of the sample's tape, as a report cuts them out of a journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from orchestrator.core.model import Check, Model, Playbook, Service, Speaker, Tier
from orchestrator.journal.chain import GENESIS, body_of, entry_of, link
from orchestrator.journal.journal import Linked
from orchestrator.reports.papers.excerpt import Asked, Slice, cut, subject_of
from orchestrator.reports.papers.shape import ReportKind
from orchestrator.reports.stories import Stories
from tests.reports.sample import WALL, Tape, all_of, approve, asked_act, first_act, second_act, small_model

SECRET = "hunter2-is-no-figure"


def rich_model() -> Model:
    """The sample's, with what must not get out: a password for a probe, a playbook's variables, a host, people."""
    model = small_model()
    erp = replace(model.services["acme/erp"], downtime_cost=180.0, mtd_s=3600.0, owners=("acme/ann", "noc"))
    move = model.moves["acme/geo-site"]
    book = Playbook("site/promote_geo.yml", "1" * 64, {"db_password": SECRET}, "geo_hosts")
    till = Service("bistro/erp", "bistro", "erp", all_of("bistro/till"), (Tier("bistro/backup-isp"),), rto_s=900.0)
    checks = {n: replace(c, options={"url": f"https://u:{SECRET}@10.0.0.7/"}) for n, c in model.checks.items()}
    checks["bistro/till"] = Check("bistro/till", "bistro", "till", "till", "http", {"url": SECRET})
    return replace(
        model,
        checks=checks,
        moves=model.moves | {
            move.id: replace(move, playbook=book),
            "bistro/backup-isp": replace(model.moves["acme/backup-isp"], id="bistro/backup-isp", client="bistro"),
        },
        services=model.services | {"acme/erp": erp, "bistro/erp": till},
        speakers={
            "acme/ann": Speaker("acme/ann", "acme", "Ann Example"),
            "noc": Speaker("noc", "", "Nora Night"),
            "bistro/bo": Speaker("bistro/bo", "bistro", "Bo Bistro"),
        },
    )  # fmt: skip


def three_acts() -> Tape:
    """Tier 1, tier 2, and a person asked; all over."""
    tape = Tape().begin().after(20.0)
    first_act(tape)
    second_act(tape.after(600.0))
    asked_act(tape.after(600.0))
    approve(tape.after(40.0))
    return tape.after(60.0)


def once_more(tape: Tape, configuration: str = "m1") -> None:
    """The second act again, as i8."""
    again, names = Tape(tape.now), {"incident": "i8", "run": "r8", "notice": "n8", "configuration": configuration}
    second_act(again)
    for e in again.entries:
        made = (replace(x, **{n: v for n, v in names.items() if getattr(x, n, "")}) for x in e.records)  # type: ignore[arg-type]
        tape.entries.append(replace(e, seq=len(tape.entries) + 1, records=tuple(made)))
    tape.now = again.now


def linked(tape: Tape) -> Iterator[Linked]:
    """The tape as a journal stores it."""
    before = GENESIS
    for x in tape.entries:
        body = body_of(x.seq, x.at, x.wall, x.epoch, x.records, {})
        after = link(before, body)
        yield Linked(entry_of(body), before, body, after)
        before = after


def stories_of(tape: Tape, model: Model | None = None) -> Stories:
    """Everything on the tape."""
    known = model or rich_model()
    return Stories(lambda digest: known if digest == known.digest else None).read(tape.entries)


def asked(tape: Tape) -> Asked:
    """A report is made now, and a controller is at work."""
    last = list(linked(tape))[-1]
    return Asked(tape.now, WALL + tape.now, None, f"{last.entry.seq}:{last.hash.hex()}")


def sliced(tape: Tape, name: str) -> Slice:
    """The provider's slice of one story."""
    stories = stories_of(tape)
    story = stories.stories[name]
    kind = ReportKind.INCIDENT if story.episodes else ReportKind.PLANNED_MOVE
    return cut(subject_of([story], stories, tape.now, kind, name), stories, lambda: linked(tape), asked(tape))
