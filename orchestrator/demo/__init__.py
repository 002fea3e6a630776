"""The demo: the main job on the lab, told act by act and timed against the RTO.

It drives the lab and the daemon as a person would, and shows what the journal and the end user's own meter say. It is a
face: only `cli` imports it.
"""
