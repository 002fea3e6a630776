# make demo    sets everything up, then runs the main job on the lab (ARGS="--json out.json")
# make test    sets everything up, then runs the tests, each in a few variants (the others: make test-broad)
# make help    lists the rest

PYTEST = .venv/bin/python -m pytest
LAB = tests/lab tests/bench/test_cell.py tests/daemon/test_journal_faults.py tests/runner/test_guard.py
unexport PYTHONDONTWRITEBYTECODE # hundreds of Ansible starts: each would compile it all again

.PHONY: help setup demo drill-demo test test-unit test-lab test-broad test-long test-crash test-ansible mutants bench lint types lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: ## .venv and the system programs that the lab needs, all below this directory
	@scripts/setup

demo: setup ## three tiers of failover on the lab, timed against the RTO
	@.venv/bin/bascule demo $(ARGS)

drill-demo: setup ## three drills on the lab: a rehearsal, a move at full scale and back, an emptied backup found
	@.venv/bin/bascule demo --drills $(ARGS)

test: setup test-unit test-lab ## what must hold, each in a few variants (the others: test-broad), with a sample of the long stories
	@echo "not run: the other variants (make test-broad), the long stories (make test-long, make test-crash)"

test-unit: ## without the lab; three at once, as some wait
	@$(PYTEST) -q -n 3 --dist loadfile --no-loadscope-reorder -m "not lab and not long and not broad" $(ARGS)

test-lab: ## on a real network of namespaces; needs root
	@$(PYTEST) -q -n 2 --dist loadfile -m "lab and not long and not broad" $(LAB) $(ARGS)

test-broad: setup ## the other variants: each way to play a playbook, each kind of edit, longer random runs; needs root
	@$(PYTEST) -q -n 4 --dist loadfile --no-loadscope-reorder -m "broad and not long" $(ARGS)

test-long: setup ## the long stories on the lab: a controller killed, a disaster in a drill; needs root
	@$(PYTEST) -q -m "long and not crash" $(ARGS)

test-crash: setup ## the controller killed in each instant of each act and drill, frozen, succeeded, on the lab; needs root
	@$(PYTEST) -q -m crash $(ARGS)

test-ansible: setup ## Ansible's own integration tests, by ansible-playbook, warm, and with Mitogen; hours; needs root
	@.venv/bin/python -m scripts.ansible_targets $(ARGS)

mutants: setup ## checks on the checks: each guard and rule of order taken out in turn; some seed must fail
	@.venv/bin/python -m tests.mutants $(ARGS)

bench: setup ## ours and its peers side by side (ARGS="--quick", ARGS="playbooks --json out.json"); needs root
	@scripts/bench/setup || echo "what needs them is not measured"
	@.venv/bin/python -m scripts.bench $(ARGS)

lint: setup ## ruff and ansible-lint
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/ansible-lint --offline -q playbooks

types: setup ## strict typing
	@.venv/bin/mypy

lock: ## write requirements.lock anew from pyproject.toml, tests/runner/newest.lock from newest.in
	@.venv/bin/uv --no-config pip compile pyproject.toml --extra lab --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --quiet --output-file requirements.lock
	@.venv/bin/uv --no-config pip compile tests/runner/newest.in --universal --python-version 3.12 \
	  --generate-hashes --no-header --quiet --output-file tests/runner/newest.lock

clean: ## remove what setup and tests made
	rm -rf .venv .bascule-cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
