"""Connections that stand: what is lent is given back once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("mitogen", reason="Mitogen is not installed: pip install 'bascule[fast]'")

from orchestrator.runner.warm.zygote import multiplexer, standing


class Login:
    """A host's context, which answers."""

    def call_async(self, _: Any) -> Any:
        """At once."""
        return SimpleNamespace(get=lambda timeout: 1)


LOGIN = Login()


class Contexts:
    """In the place of Mitogen's: one connection, and how often it is held."""

    def __init__(self) -> None:
        self.held = 0
        self._response_by_key: Any = {}

    def get(self, stack: Any) -> dict[str, Any]:
        """Hold it once more."""
        self.held += 1
        return {"context": LOGIN, "via": None, "init_child_result": {}, "msg": None}

    def put(self, context: Any) -> None:
        """Hold it once less."""
        assert context is LOGIN
        self.held -= 1


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Contexts]:
    """The service in the multiplexer, and what it asks."""
    contexts = Contexts()
    made = multiplexer._standing()
    one = made.__new__(made)
    one.contexts, one.answered, one.users = contexts, {}, {}
    one.lock = multiplexer.threading.Lock()
    one.router = SimpleNamespace(context_by_id=lambda _: LOGIN)
    monkeypatch.setattr(made, "_chain", lambda self, stack: [LOGIN])
    monkeypatch.setattr("mitogen.core.listen", lambda *_: None)
    return one, contexts


@pytest.mark.parametrize("way", ["used", "not used", "put back and taken anew"])
def test_what_is_lent_is_given_back_once(
    service: tuple[Any, Contexts], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Whether the task has used it, or had no need to, or has gone on to another item of its loop."""
    one, contexts = service
    task = SimpleNamespace(src_id=7)
    monkeypatch.setattr(standing, "say", lambda _, method, **named: getattr(one, method)(msg=task, **named))
    connection: Any = SimpleNamespace(context=None, chain=None, become=None)
    monkeypatch.setattr("ansible_mitogen.connection.CallChain", lambda *_, **__: SimpleNamespace(reset=lambda: None))
    standing.lend(connection, "edge", (), one.use(stack=[], msg=task))
    assert (contexts.held, one.users) == (1, {7: {LOGIN}})
    if way != "not used":
        assert connection._build_stack() == ("edge", ())
        connection._connect_stack(())
        assert connection.context is LOGIN
    if way == "put back and taken anew":
        contexts.put(LOGIN)
        connection.context = contexts.get([])["context"]
    standing.give_back(connection)
    assert (contexts.held, one.users, connection.context) == (0, {}, None)


def test_what_the_item_before_was_lent_is_given_back_too() -> None:
    """In a loop whose next item goes elsewhere, or by ssh; whatever was never lent is left alone."""
    closed: list[str] = []

    def close() -> None:
        closed.append("closed")
        raise TimeoutError

    standing.leave(None)
    standing.leave(SimpleNamespace(close=close))
    standing.leave(SimpleNamespace(close=close, lent=LOGIN, binding=None))
    assert closed == []
    standing.leave(SimpleNamespace(close=close, lent=LOGIN, binding=object()))
    assert closed == ["closed"]
