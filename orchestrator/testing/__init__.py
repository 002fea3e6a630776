"""For tests of your own guards and plans: see `world.py`, and docs/testing.md."""

from orchestrator.testing.world import World, model_of, story

__all__ = ["World", "model_of", "story"]
