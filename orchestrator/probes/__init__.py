"""Probes: the code that asks. One kind, one file, one row in `kinds.KINDS`.

Imports only `orchestrator.core`. See `docs/probes.md` for what each answer means.
"""
