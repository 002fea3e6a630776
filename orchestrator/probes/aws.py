"""aws: is the instance there, how old is the newest backup or snapshot, what does the DNS record say?

The one rule it keeps: the API's silence is silence. If it refuses our credentials, that is our own fault (none). The
age of a backup is counted from when its data was read, not from when the upload ended, if that is on record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from orchestrator.core.durations import show_duration
from orchestrator.core.events import Answer
from orchestrator.probes.dns_values import plain, values_of
from orchestrator.probes.kind import Kind, Question, first_judged
from orchestrator.probes.options import Duration, Options, Text
from orchestrator.probes.results import Judged, Raw, Refusal


def _list_of_one(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


_NEEDS = {
    "instance": ("id or tags", ("id", "tags")),
    "object": ("bucket", ("bucket",)),
    "snapshot": ("volume or tags", ("volume", "tags")),
    "record": ("record", ("record",)),
}
_MAY: dict[str, set[str]] = {
    "instance": {"id", "tags", "state"},
    "object": {"bucket", "prefix", "time_metadata", "min_bytes", "max_age"},
    "snapshot": {"volume", "tags", "max_age"},
    "record": {"zone", "record", "type", "expect"},
}


class AwsOptions(Options):
    """Options of `probe: aws`."""

    what: Literal["instance", "object", "snapshot", "record"]
    region: Text | None = None
    profile: Text | None = None
    endpoint: Text | None = Field(default=None, description="URL of the API, else as AWS's own configuration has it")
    id: Text | None = None
    tags: Mapping[str, str] = Field(default_factory=dict)
    state: Annotated[tuple[Text, ...], BeforeValidator(_list_of_one)] = Field(
        default=("running",), description="states of an instance that are right; `any` accepts all but terminated"
    )
    bucket: Text | None = None
    prefix: str = ""
    time_metadata: Text = Field(
        default="snapshot-time", description="an object's metadata with the epoch seconds of its data"
    )
    min_bytes: Annotated[int, Field(ge=0)] = Field(default=1, description="smaller objects are no backups")
    max_age: Duration | None = None
    volume: Text | None = None
    zone: Text | None = Field(
        default=None, description="id or name of the hosted zone; else found by the record's name"
    )
    record: Text | None = None
    type: Literal["A", "AAAA", "CNAME", "TXT", "MX", "SRV", "NS", "CAA"] = "A"
    expect: Annotated[tuple[Text, ...], BeforeValidator(_list_of_one)] = Field(
        default=(), description="values that are right; every value of the record must be one of them"
    )

    @model_validator(mode="after")
    def _fits(self) -> AwsOptions:
        needed, keys = _NEEDS[self.what]
        if not any(getattr(self, key) for key in keys):
            raise ValueError(f"what: {self.what} needs {needed}")
        known = _MAY[self.what] | {"what", "region", "profile", "endpoint"}
        odd = sorted(self.model_fields_set - known)
        if odd:
            raise ValueError(
                f"{', '.join(odd)} means nothing for what: {self.what} (it knows {', '.join(sorted(known))})"
            )
        return self


@dataclass(frozen=True, slots=True)
class Instances:
    """State by instance id; terminated ones are left out."""

    states: Mapping[str, str]
    rtt_s: float


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest backup. `name` is None if there is none; not `age_is_exact`: only the upload's end is known."""

    name: str | None
    age_s: float
    size_bytes: float
    age_is_exact: bool
    rtt_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """Values of a DNS record; none if it is not there."""

    values: tuple[str, ...]
    ttl_s: float
    rtt_s: float


async def ask(question: Question[AwsOptions]) -> Raw:
    """In a process of its own: boto3 blocks, and takes its time to build a client."""
    return await question.tools.forks("orchestrator.probes.aws_calls").ask(question)


def judge(options: AwsOptions, reply: Instances | Newest | Record) -> Judged:
    """By what was asked for."""
    match reply:
        case Instances():
            return _judge_instances(options, reply)
        case Newest():
            return _judge_newest(options, reply)
        case Record():
            return _judge_record(options, reply)


def _asked_for(options: AwsOptions) -> str:
    if options.id or options.volume:
        return str(options.id or options.volume)
    return ", ".join(f"{key}={value}" for key, value in options.tags.items())


def _judge_instances(options: AwsOptions, reply: Instances) -> Judged:
    measures = {"rtt_s": reply.rtt_s, "instances": float(len(reply.states))}
    if not reply.states:
        return Judged(Answer.BAD, measures, f"there is no instance {_asked_for(options)}")
    seen = ", ".join(f"{name} is {state}" for name, state in sorted(reply.states.items()))
    wrong = [s for s in reply.states.values() if s not in options.state and "any" not in options.state]
    if wrong:
        return Judged(Answer.BAD, measures, f"{seen}, expected {' or '.join(options.state)}")
    return Judged(Answer.GOOD, measures, seen)


def _judge_newest(options: AwsOptions, reply: Newest) -> Judged:
    measures = {"rtt_s": reply.rtt_s}
    if reply.name is None:
        place = f"s3://{options.bucket}/{options.prefix}" if options.what == "object" else _asked_for(options)
        return Judged(Answer.BAD, measures, f"there is no backup in {place}")
    measures |= {"data_age_s": reply.age_s, "size_bytes": reply.size_bytes}
    seen = f"{reply.name} is {show_duration(reply.age_s)} old"
    if not reply.age_is_exact:
        seen += " (since its upload: its data is older)"
    if options.max_age is not None and reply.age_s > options.max_age:
        return Judged(Answer.BAD, measures, f"{seen}, more than {show_duration(options.max_age)}")
    return Judged(Answer.GOOD, measures, seen)


def _judge_record(options: AwsOptions, reply: Record) -> Judged:
    measures = {"rtt_s": reply.rtt_s}
    asked = f"{options.record} {options.type}"
    if not reply.values:
        return Judged(Answer.BAD, measures, f"there is no record {asked}")
    measures["ttl_s"] = reply.ttl_s
    seen = f"{asked} is {', '.join(reply.values)}"
    right = {plain(options.type, value, octal=True) for value in options.expect}
    if right and any(plain(options.type, value, octal=True) not in right for value in reply.values):
        return Judged(Answer.BAD, measures, f"{seen}, expected {' or '.join(options.expect)}")
    return Judged(Answer.GOOD, measures, seen)


def invent(options: AwsOptions, so: bool, measures: Mapping[str, float]) -> Instances | Newest | Record | Refusal:
    """What there should be; else in another state, older, of another value, and last of all not there."""
    if so:
        return next(_right(options, measures))
    return first_judged(judge, options, Answer.BAD, _wrong(options, measures)) or Refusal("the API says: not so")


def _right(options: AwsOptions, measures: Mapping[str, float]) -> Iterator[Instances | Newest | Record]:
    rtt_s = measures.get("rtt_s", 0.0)
    if options.what == "instance":
        yield _instances(options, "running" if "any" in options.state else options.state[0], measures)
    elif options.what == "record":
        values = options.expect or (next(values_of(options.type)),)
        yield Record(values, measures.get("ttl_s", 60.0), rtt_s)
    else:
        yield _newest(options, measures.get("data_age_s", options.max_age or 0.0), measures)


def _wrong(options: AwsOptions, measures: Mapping[str, float]) -> Iterator[Instances | Newest | Record]:
    rtt_s = measures.get("rtt_s", 0.0)
    if options.what == "instance":
        yield from (_instances(options, state, measures) for state in ("stopped", "running", "pending", "stopping"))
        yield Instances({}, rtt_s)
    elif options.what == "record":
        yield from (Record((value,), measures.get("ttl_s", 60.0), rtt_s) for value in values_of(options.type))
        yield Record((), 0.0, rtt_s)
    else:
        if options.max_age is not None:
            yield _newest(options, measures.get("data_age_s", 2 * options.max_age + 60.0), measures)
        yield Newest(None, 0.0, 0.0, True, rtt_s)


def _instances(options: AwsOptions, state: str, measures: Mapping[str, float]) -> Instances:
    names = [options.id or f"i-invented{number}" for number in range(1, 1 + int(measures.get("instances", 1)))]
    return Instances(dict.fromkeys(names, state), measures.get("rtt_s", 0.0))


def _newest(options: AwsOptions, age_s: float, measures: Mapping[str, float]) -> Newest:
    size_bytes = measures.get("size_bytes", float(options.min_bytes))
    return Newest(f"{options.prefix}invented", age_s, size_bytes, True, measures.get("rtt_s", 0.0))


Reply = Instances | Newest | Record
KIND: Kind[AwsOptions, Reply] = Kind(
    "aws", AwsOptions, ask, (Instances, Newest, Record), judge, invent, grace_s=60.0, forks=True
)
