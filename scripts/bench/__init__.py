"""The measuring program, `make bench`: bascule and its peers side by side, in the same minutes on the same machine.

The one rule it keeps: a figure is never compared with one of another time. What is compared was measured in turns,
round by round, and the ratio is taken within each round, so that whatever else the machine does falls on all alike.

One file a measurement, one row in `catalogue.py`. docs/benchmarks.md says what each figure is, and what it is not.
"""
