"""JSON Schemas of every file, for editors.

The one rule it keeps: they are made from the shapes themselves, so they always agree with `validate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from orchestrator.config.rehearsal_shapes import RehearseShape
from orchestrator.config.schedule_shapes import CalendarShape, DrillShape, MaintenanceShape, SchedulesFileShape
from orchestrator.config.shapes import (
    WHOLE_MOVE,
    CheckShape,
    PeopleFileShape,
    PersonShape,
    PlaceShape,
    ServicesFileShape,
    ServiceShape,
    WorkspaceFileShape,
)

_CONDITION: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        *(
            {
                "type": "object",
                "properties": {key: {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Condition"}}},
                "required": [key],
                "additionalProperties": False,
            }
            for key in ("all", "any")
        ),
        {
            "type": "object",
            "properties": {
                "quorum": {"type": "integer", "minimum": 1},
                "of": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Condition"}},
            },
            "required": ["quorum", "of"],
            "additionalProperties": False,
        },
    ]
}


def schemas(probe_kinds: Mapping[str, type[BaseModel]]) -> dict[str, dict[str, Any]]:
    """File to JSON Schema: `services.yml`, `people.yml`, `schedules.yml`, `bascule.yml`, `checks.yml`."""
    services = _schema(ServicesFileShape)
    for key, shape in (("places", PlaceShape), ("moves", WHOLE_MOVE), ("services", ServiceShape)):
        _add(services, key, shape)
    rehearse = RehearseShape.model_json_schema()
    services["$defs"] |= rehearse.pop("$defs", {}) | {"RehearseShape": rehearse}
    services["$defs"]["MoveShape"]["properties"]["rehearse"] = {"$ref": "#/$defs/RehearseShape"}
    schedules = _schema(SchedulesFileShape)
    for key, of in (("people", CalendarShape), ("drills", DrillShape), ("maintenance", MaintenanceShape)):
        _add(schedules, key, of)
    schedules["properties"]["calendar"] = {"$ref": f"#/$defs/{CalendarShape.__name__}"}
    people, workspace = _schema(PeopleFileShape), _schema(WorkspaceFileShape)
    _add(people, "people", PersonShape)
    _add(workspace, "people", PersonShape)
    check = _schema(CheckShape)
    definitions = check.pop("$defs", {})
    check["properties"]["probe"] = {"enum": sorted(probe_kinds)}
    for kind in probe_kinds.values():
        for name, field in kind.model_json_schema().get("properties", {}).items():
            check["properties"].setdefault(name, {"description": field.get("description", "")})
    checks = {
        "anyOf": [
            {"type": "array", "items": check},
            {
                "type": "object",
                "properties": {
                    "clients": {"type": "array", "items": {"type": "string"}},
                    "checks": {"type": "array", "items": check},
                },
                "required": ["checks"],
                "additionalProperties": False,
            },
        ],
        "$defs": {**definitions, "Condition": _CONDITION},
    }
    found = {"services.yml": services, "people.yml": people, "schedules.yml": schedules}
    found |= {"bascule.yml": workspace, "checks.yml": checks}
    return {
        name: {"$schema": "http://json-schema.org/draft-07/schema#", **_refer(body)} for name, body in found.items()
    }


_SHORT = (
    "PlaybookShape",
    "BackShape",
    "IsolateShape",
    "SurveyShape",
    "TierShape",
    "DependencyShape",
    "SecretShape",
)  # a bare text is short for these


def _refer(part: Any) -> Any:
    """Every condition, which the shapes know by its title only, as a reference."""
    if isinstance(part, dict):
        if part.get("title") == "Condition" and "type" not in part and "anyOf" not in part:
            return {"$ref": "#/$defs/Condition"}
        made = {key: _refer(value) for key, value in part.items()}
        if part.get("title") in _SHORT and part.get("type") == "object":
            return {"anyOf": [{"type": "string"}, made]}
        return made
    return [_refer(item) for item in part] if isinstance(part, list) else part


def _schema(shape: type[BaseModel]) -> dict[str, Any]:
    schema = shape.model_json_schema()
    schema.setdefault("$defs", {})["Condition"] = _CONDITION
    return schema


def _add(schema: dict[str, Any], key: str, shape: type[BaseModel]) -> None:
    """Put the shape of a section's items under the section."""
    inner = shape.model_json_schema()
    schema["$defs"] |= inner.pop("$defs", {})
    schema["$defs"][shape.__name__] = inner
    schema["properties"][key] = {"type": "object", "additionalProperties": {"$ref": f"#/$defs/{shape.__name__}"}}
