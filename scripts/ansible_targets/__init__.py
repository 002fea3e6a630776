"""Ansible's own integration tests, played three ways: by ansible-playbook, warm, and warm with Mitogen.

The one rule it keeps: what differs is shown, whoever is right. Each play begins on the same machine: a root of its own
(an overlay over this one), processes, names and a network of its own, all gone at its end.
"""
