"""Checks on the checks: each guard and each rule of order is taken out in turn, and some seed must fail.

`make mutants` plays them all; `tests/sim/test_mutants.py` the most important ones at the seeds that caught them.
"""
