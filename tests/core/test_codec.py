"""The codec: what was written is read back equal, or it is refused with its class and field."""

from __future__ import annotations

import dataclasses
import math
import time
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.codec import CodecError, decode, decode_tagged, dumps, encode, encode_tagged, loads
from orchestrator.core.events import StepKey
from orchestrator.core.model import (
    Check,
    Combine,
    Condition,
    Json,
    LossWindow,
    Model,
    Move,
    Playbook,
    Service,
    Tier,
)
from orchestrator.core.reasons import Reason
from orchestrator.core.records import RECORDS, Record, Verdict, VerdictChanged


def there_and_back(value: Any) -> Any:
    """Through bytes, as the journal does it."""
    return decode(type(value), loads(dumps(encode(value))))


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Cat:
    name: str
    kind: str = "tabby"


@dataclass(frozen=True, slots=True)
class Dog:
    age: int


@dataclass(frozen=True, slots=True)
class Everything:
    text: str
    count: int
    share: float
    yes: bool
    colour: Colour
    names: tuple[str, ...]
    pair: tuple[str, int]
    some: frozenset[Colour]
    cats: Mapping[Colour, Cat]
    by_step: Mapping[StepKey, float]
    raw: Json
    pets: tuple[Cat | Dog, ...]
    maybe: Cat | None = None
    either: str | Cat = "none"
    numbers: dict[str, list[float]] = field(default_factory=dict)
    limit: float | None = None


EVERYTHING = Everything(
    text='ünïcode " \udcff',
    count=-3,
    share=0.1,
    yes=True,
    colour=Colour.BLUE,
    names=("a", ""),
    pair=("x", 1),
    some=frozenset(Colour),
    cats={Colour.RED: Cat("Tom")},
    by_step={StepKey("r2", "fence", 1): 2.0, StepKey("r1", "fence", 1): math.inf},
    raw={"a": [None, True, 1, 1.5, "x", {}]},
    pets=(Dog(3), Cat("Kit", "siamese")),
    maybe=Cat("Mia"),
    either=Cat("Leo"),
    numbers={"x": [1.0, 2.5]},
    limit=-math.inf,
)


def test_every_kind_of_field_comes_back_equal() -> None:
    assert there_and_back(EVERYTHING) == EVERYTHING
    assert there_and_back(dataclasses.replace(EVERYTHING, maybe=None, either="plain", limit=None)).either == "plain"


def test_a_whole_model_comes_back_equal_conditions_in_conditions_included() -> None:
    healthy = Condition(Combine.ANY, ("acme/erp", Condition(Combine.QUORUM, ("a", "b", "c"), need=2)))
    playbook = Playbook("wan/backup.yml", "d1", {"route": ["a", 1]})
    model = Model(
        digest="m1",
        checks={
            "acme/erp": Check(
                "acme/erp", "acme", "erp", "hq-app", "http", {"url": "http://x"}, loss=LossWindow(0.4, 0.1, 30.0),
                domains=frozenset({"hq", "isp-a"}),
            )
        },
        moves={"acme/backup": Move("acme/backup", "acme", "backup", playbook, healthy, done_when=healthy)},
        services={"acme/erp": Service("acme/erp", "acme", "erp", healthy, (Tier("acme/backup", 5.0),), rto_s=900.0)},
    )  # fmt: skip
    assert there_and_back(model) == model


def test_the_same_value_gives_the_same_bytes_in_whatever_order_it_was_made() -> None:
    one = dataclasses.replace(EVERYTHING, some=frozenset([Colour.RED, Colour.BLUE]), raw={"b": 1, "a": 2})
    two = dataclasses.replace(EVERYTHING, some=frozenset([Colour.BLUE, Colour.RED]), raw={"a": 2, "b": 1})
    assert dumps(encode(one)) == dumps(encode(two))
    assert dumps({"b": [1, "é"], "a": None}) == b'{"a":null,"b":[1,"\\u00e9"]}'


def test_an_int_where_a_float_is_declared_gives_the_bytes_of_the_float() -> None:
    assert dumps(encode(dataclasses.replace(EVERYTHING, share=1))) == dumps(
        encode(dataclasses.replace(EVERYTHING, share=1.0))
    )


def test_a_record_carries_the_name_of_its_class_and_its_own_kind_beside() -> None:
    value = encode_tagged(Cat("Tom"))
    assert value == {"kind": "Cat", "name": "Tom", "kind_": "tabby"}
    assert decode_tagged({"Cat": Cat, "Dog": Dog}, value) == Cat("Tom")


def test_a_missing_key_with_a_default_is_filled_and_every_default_is_its_own() -> None:
    value = encode(EVERYTHING)
    for name in ("maybe", "either", "numbers", "limit"):
        del value[name]
    first, second = decode(Everything, value), decode(Everything, value)
    assert (first.maybe, first.either, first.numbers) == (None, "none", {})
    assert first.numbers is not second.numbers


class TestWhatCannotBeReadIsRefused:
    """Each message names the class and the field, and what was expected."""

    def test_a_missing_key_without_a_default(self) -> None:
        with pytest.raises(CodecError, match="StepBegan: key 'run' is missing"):
            decode_tagged(RECORDS, {"kind": "StepBegan", "at": 1.0, "step": "s", "attempt": 1})

    def test_an_unknown_key(self) -> None:
        with pytest.raises(CodecError, match="Dog: unknown key 'agee'; it has age"):
            decode(Dog, {"age": 1, "agee": 2})
        with pytest.raises(CodecError, match="Cat: unknown key 'tail'"):
            decode(Cat, {"name": "x", "tail": 2})  # as many keys as fields

    def test_an_unknown_kind(self) -> None:
        with pytest.raises(CodecError, match="unknown kind 'Bird': this version knows Cat, Dog"):
            decode_tagged({"Cat": Cat, "Dog": Dog}, {"kind": "Bird"})
        with pytest.raises(CodecError, match="expected an object"):
            decode_tagged(RECORDS, ["StepBegan"])
        with pytest.raises(CodecError, match=r"Everything\.pets"):
            decode(Everything, {**encode(EVERYTHING), "pets": [{"kind": "Bird"}]})

    @pytest.mark.parametrize(
        ("name", "bad"),
        [
            ("text", 1), ("count", 1.0), ("count", True), ("share", "1"), ("share", True), ("yes", 1),
            ("share", 10**400), ("colour", "green"), ("colour", []),
            ("names", "ab"), ("names", [1]), ("pair", ["x"]), ("pair", [1, "x"]), ("some", ["green"]),
            ("cats", {"green": {"name": "x"}}), ("cats", []), ("by_step", {}), ("either", 1),
            ("numbers", {"x": 1.0}), ("limit", "high"),
        ],
    )  # fmt: skip
    def test_a_value_of_another_type(self, name: str, bad: Json) -> None:
        with pytest.raises(CodecError, match=rf"Everything\.{name}"):
            decode(Everything, {**encode(EVERYTHING), name: bad})

    def test_something_else_where_an_object_is_expected(self) -> None:
        with pytest.raises(CodecError, match="Cat: expected an object, found str 'Tom'"):
            decode(Everything, {**encode(EVERYTHING), "maybe": "Tom"})

    def test_bytes_that_are_no_json(self) -> None:
        for data in (b"{", b"NaN", b"\xff", b""):
            with pytest.raises(CodecError, match="not JSON"):
                loads(data)


class TestWhatCouldNotBeReadBackIsNotWritten:
    """Found at the writer's, where the fault is, not after a restart."""

    @pytest.mark.parametrize(
        ("name", "bad"),
        [
            ("text", 1), ("count", 1.5), ("count", True), ("share", "1"), ("share", math.nan), ("yes", 1),
            ("colour", "blue"), ("names", ["a"]), ("names", "ab"), ("pair", ("x",)), ("some", {Colour.RED}),
            ("cats", [1]), ("raw", {1: 2}), ("raw", (1, 2)), ("raw", {"x": math.inf}), ("raw", object()),
            ("either", 1), ("pets", (1,)),
        ],
    )  # fmt: skip
    def test_a_value_of_another_type(self, name: str, bad: Any) -> None:
        with pytest.raises(CodecError, match=rf"Everything\.{name}"):
            encode(dataclasses.replace(EVERYTHING, **{name: bad}))

    def test_another_class_than_declared(self) -> None:
        with pytest.raises(CodecError, match="expected Cat, found Dog"):
            encode(dataclasses.replace(EVERYTHING, maybe=typing.cast(Cat, Dog(1))))

    def test_what_is_no_dataclass(self) -> None:
        with pytest.raises(CodecError, match="str is no dataclass"):
            encode("text")

    def test_a_union_whose_members_look_alike_in_json(self) -> None:
        with pytest.raises(CodecError, match="could not be told apart"):
            encode(dataclasses.make_dataclass("Unclear", [("what", Colour | Verdict)])(Colour.RED))

    def test_not_json_at_all(self) -> None:
        for value in (math.nan, {"a": math.inf}, {1, 2}):
            with pytest.raises(CodecError, match="not JSON"):
                dumps(typing.cast(Json, value))


def test_a_reason_where_a_plain_text_is_declared_is_written_as_its_text() -> None:
    value = encode(Cat(Reason.HELD))
    assert type(value["name"]) is str
    assert there_and_back(Cat(Reason.HELD)) == Cat("held")


@pytest.mark.parametrize("kind", RECORDS.values(), ids=RECORDS.keys())
def test_every_kind_of_record_can_be_written(kind: type) -> None:
    """Hypothesis makes values from the declarations, so a new record is tested without a word here."""

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.builds(kind, **_strategies(kind)))
    def back_and_forth(record: Record) -> None:
        assert decode_tagged(RECORDS, loads(dumps(encode_tagged(record)))) == record

    back_and_forth()


def _strategies(kind: Any) -> dict[str, st.SearchStrategy[Any]]:
    """Only what plain inference gets wrong: NaN, numbers JSON has none for, open Json."""
    number = st.floats(allow_nan=False)
    json: st.SearchStrategy[Any] = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=4,
    )
    special: dict[Any, st.SearchStrategy[Any]] = {
        float: number,
        float | None: st.none() | number,
        Mapping[str, float]: st.dictionaries(st.text(), number, max_size=2),
    }
    no_tasks: st.SearchStrategy[Any] = st.just(())
    found: dict[str, st.SearchStrategy[Any]] = {}
    for name, hint in typing.get_type_hints(kind).items():
        if name == "tasks":
            found[name] = no_tasks
        elif hint in special:
            found[name] = special[hint]
        elif name == "details":
            found[name] = st.dictionaries(st.text(), json, max_size=2)
    return found


def test_an_entrys_records_are_written_and_read_in_microseconds() -> None:
    """A generous bound: an accidental walk over type hints on every value would miss it by far."""
    record = VerdictChanged(1.0, "acme/x", Verdict.UP, Verdict.DOWN, 0.5, "3 silent", {"rtt_s": 0.1})
    began = time.process_time()
    for _ in range(1000):
        decode_tagged(RECORDS, loads(dumps(encode_tagged(record))))
    assert (time.process_time() - began) / 1000 < 200e-6
