"""`python -m scripts.report_files`: makes anew what is published beside the reports: the schema, and the catalogues.

A catalogue's `.po` is written by people; its `.mo`, which the program reads, is made from it here.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from orchestrator.reports.papers.known import SENTENCES, WORDS
from orchestrator.reports.papers.layout import HEADINGS
from orchestrator.reports.papers.schema import schema

REPORTS = Path(__file__).parents[1] / "orchestrator" / "reports"
CATALOGUES = sorted(REPORTS.glob("locale/*/LC_MESSAGES/bascule.po"))
SPOKEN = {"Said", "text", "_text", "_number", "_points", "_moments", "Participant"}


def compiled(catalogue: Path) -> bytes:
    """The bytes of its `.mo`."""
    with catalogue.open("rb") as file:
        found = read_po(file, locale=catalogue.parts[-3], abort_invalid=True)
    found.creation_date = found.revision_date = datetime(2026, 1, 1, tzinfo=UTC)  # else the bytes tell when
    out = BytesIO()
    write_mo(out, found)
    return out.getvalue()


def sentences() -> set[str]:
    """Every sentence of ours that a report may say."""
    found = {*SENTENCES, *WORDS, *HEADINGS.values()}
    for path in [*sorted((REPORTS / "papers").glob("*.py")), REPORTS / "timeline.py"]:
        found |= set(_spoken(ast.parse(path.read_text(encoding="utf-8"))))
    return found - {""}


def _spoken(tree: ast.AST) -> Iterator[str]:
    """Texts handed to what speaks, and those of the tables and branches whose values are."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in SPOKEN:
                given = [*node.args, *(k.value for k in node.keywords)]
                yield from (x for argument in given for x in _texts(argument))
        elif isinstance(node, ast.Assign):
            names = {t.id for t in node.targets if isinstance(t, ast.Name)}
            if names & {"text", "lacking", "at", "bare", "rows", "lines", "numbers", "named"}:
                yield from _texts(node.value)


def _texts(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.IfExp():
            yield from (*_texts(node.body), *_texts(node.orelse))
        case ast.Tuple() | ast.List():
            yield from (x for each in node.elts for x in _texts(each))


def main() -> None:
    """Write them."""
    text = json.dumps(schema(), indent=1) + "\n"
    (REPORTS / "papers" / "report.schema.json").write_text(text, encoding="utf-8")
    for catalogue in CATALOGUES:
        catalogue.with_suffix(".mo").write_bytes(compiled(catalogue))


if __name__ == "__main__":
    main()
