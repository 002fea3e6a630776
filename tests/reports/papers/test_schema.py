"""The published schema is the one of the classes, and every report's file keeps it."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema
import pytest

from orchestrator.reports.papers.schema import schema
from orchestrator.reports.papers.shape import Edition
from tests.reports.papers.test_sealing import written


def test_it_is_published_as_the_classes_have_it() -> None:
    """To write it anew: python -m scripts.report_files."""
    published = (files("orchestrator.reports.papers") / "report.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == schema()
    jsonschema.Draft7Validator.check_schema(schema())


@pytest.mark.parametrize("edition", list(Edition))
@pytest.mark.parametrize("name", ["i1", "i3"])
def test_every_file_keeps_it(edition: Edition, name: str) -> None:
    jsonschema.Draft7Validator(schema()).validate(json.loads(written(edition, name)))


def test_what_it_does_not_name_is_refused_by_it() -> None:
    data = json.loads(written(Edition.PROVIDER, "i1"))
    data["report"]["rto"] = 1.0
    with pytest.raises(jsonschema.ValidationError, match="rto"):
        jsonschema.Draft7Validator(schema()).validate(data)
