"""The programs that the lab's hosts run, each started as `python -m orchestrator.lab.programs.NAME`.

The one rule they keep: they know addresses, files and sockets from their arguments, never the lab's topology.
`docs/lab.md` ("Programs") has every argument line.
"""
