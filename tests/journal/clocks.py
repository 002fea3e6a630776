"""Clocks that stand still until a test moves them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HandClocks:
    """A machine's clocks, moved by hand."""

    up: float = 100.0  # seconds since boot
    utc: float = 1_800_000_000.0
    boot_id: str = "boot-1"

    def boottime(self) -> float:
        return self.up

    def wall(self) -> float:
        return self.utc

    def boot(self) -> str:
        return self.boot_id

    def pass_s(self, seconds: float) -> None:
        """Time passes on both."""
        self.up += seconds
        self.utc += seconds

    def reboot(self, down_s: float, boot_id: str = "boot-2") -> None:
        """The machine restarts; `down_s` is what the wall clock says it took."""
        self.up, self.utc, self.boot_id = 5.0, self.utc + down_s, boot_id
