"""Connections that stand: what is lent is given back once."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.runner.warm.zygote import multiplexer, task_connection

pytest.importorskip("mitogen", reason="Mitogen is not installed: pip install 'bascule[fast]'")

TASK = SimpleNamespace(src_id=7)
STACK: list[dict[str, Any]] = [{"method": "ssh", "kwargs": {"hostname": "edge"}}]


class Login:
    """A host's context, which answers."""

    def call_async(self, _: Any) -> Any:
        """At once."""
        return SimpleNamespace(get=lambda timeout: 1)


LOGIN = Login()


class Contexts:
    """In the place of Mitogen's: one connection, and how often it is held."""

    def __init__(self) -> None:
        from ansible_mitogen.services import key_from_dict

        found = {"context": LOGIN, "via": None, "init_child_result": {}, "msg": None}
        self._lock = threading.Lock()
        self._response_by_key = {key_from_dict(via=None, **STACK[0]): found}
        self._refs_by_context = {LOGIN: 0}

    @property
    def held(self) -> int:
        """How often."""
        return self._refs_by_context[LOGIN]

    def put(self, context: Any) -> None:
        """Hold it once less."""
        self._refs_by_context[context] -= 1


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Contexts]:
    """The service in the multiplexer, and what it asks."""
    contexts = Contexts()
    made = multiplexer._standing()
    one = made.__new__(made)
    one.contexts, one.answered, one.users, one.brings, one.lock = contexts, {}, {}, {}, threading.Lock()
    one.router = SimpleNamespace(context_by_id=lambda _: LOGIN)
    monkeypatch.setattr("mitogen.core.listen", lambda *_: None)
    monkeypatch.setattr("ansible_mitogen.connection.CallChain", lambda *_, **__: SimpleNamespace(reset=lambda: None))
    return one, contexts


@pytest.mark.parametrize("way", ["used", "not used", "put back and taken anew"])
def test_what_is_lent_is_given_back_once(
    service: tuple[Any, Contexts], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Whether the task has used it, or had no need to, or has gone on to another item of its loop."""
    one, contexts = service
    monkeypatch.setattr(task_connection, "say", lambda _, method, **named: getattr(one, method)(msg=TASK, **named))
    connection: Any = SimpleNamespace(context=None, chain=None, become=None)
    task_connection.lend(connection, "edge", (), one.use(stack=STACK, msg=TASK))
    assert (contexts.held, one.users) == (1, {7: {LOGIN}})
    if way != "not used":
        assert connection._build_stack() == ("edge", ())
        connection._connect_stack(())
        assert connection.context is LOGIN
    if way == "put back and taken anew":
        contexts.put(LOGIN)
        contexts._refs_by_context[LOGIN] += 1
    task_connection.give_back(connection)
    assert (contexts.held, one.users, connection.context) == (0, {}, None)


def test_a_connection_that_has_just_gone_is_not_made_for_a_task(
    service: tuple[Any, Contexts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task does not wait for it, and is no user of it."""
    one, contexts = service
    monkeypatch.setattr(type(one), "_answers", lambda *_: contexts._response_by_key.clear() or True)
    assert (one.use(stack=STACK, msg=TASK), one.users, contexts.held) == (None, {}, 0)


def test_what_the_item_before_was_lent_is_given_back_too() -> None:
    """In a loop whose next item goes elsewhere, or by ssh; whatever was never lent is left alone."""
    closed: list[str] = []

    def close() -> None:
        closed.append("closed")

    task_connection.leave(None)
    task_connection.leave(SimpleNamespace(close=close))
    task_connection.leave(SimpleNamespace(close=close, lent=LOGIN, binding=None))
    assert closed == []
    task_connection.leave(SimpleNamespace(close=close, lent=LOGIN, binding=object()))
    assert closed == ["closed"]
