"""Every measurement there is: one file, one row. The order is that of the run and of the tables."""

from __future__ import annotations

from scripts.bench.shape import Measurement

MEASUREMENTS: tuple[Measurement, ...] = ()
