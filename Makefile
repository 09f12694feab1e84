# Every target sets the checkout up first (Python 3.13, packages, Azurite); once that is done it costs a few milliseconds.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast nightly check up down status peers clients browser bench docs package az-lines requirements clean
.NOTPARALLEL:
# Where it is set, every process compiles all it imports once more: azure-ai-ml then takes three times as long to load.
unexport PYTHONDONTWRITEBYTECODE

python := .venv/bin/python
# No header and no index address: neither this machine's paths nor its mirrors belong in the files.
compile := .venv/bin/uv pip compile --quiet --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	--python-version 3.13 --python-platform linux

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the checkout needs, into .venv and .tools only
	@sh scripts/setup.sh

demo: setup ## watch a dropped snapshot become a served model, on this machine; KEEP=1 leaves it running
	@$(python) -m local demo $(if $(KEEP),--keep)

clients: setup ## install the chat clients that tests ask through, into .tools
	@sh scripts/chat_clients.sh

browser: setup ## install the browser that tests open the page in, into .tools
	@sh scripts/browser.sh

test: clients browser ## run the tests; starts and stops the services they need
	@$(python) -m pytest -n 4 --dist loadfile --no-loadscope-reorder

nightly: clients browser ## run the tests with the long tail that `make test` leaves out, in another order each day
	@$(python) -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m "" --shuffle $$(date +%Y%m%d)

test-fast: setup ## run the tests that need no services
	@$(python) -m pytest -n 2 -m "not services and not long"

check: setup ## lint, formatting, types, import rules
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy
	@.venv/bin/lint-imports

up: setup ## start the local cloud with the app in it
	@$(python) -m local up

down: setup ## stop the local cloud
	@$(python) -m local down

status: setup ## show what runs, where, and how it is
	@$(python) -m local status

peers: setup ## install the programs that validation is compared with, into .tools/peers
	@test -x .tools/peers/bin/python || $(python) -m venv --without-pip .tools/peers
	@$(python) -m pip --python .tools/peers install --quiet --disable-pip-version-check -r requirements-peers.txt

bench: peers ## measure the hot paths
	@$(python) -m benchmarks

docs: setup ## write the generated parts of the pages anew
	@$(python) -m scripts.docs
	@$(python) -m scripts.rules_page > docs/validation-rules.md
	@$(python) -m scripts.report_schema > docs/validation-report.schema.json
	@$(python) -m scripts.notification_schema > docs/notifications.schema.json

package: setup ## make the zip that is deployed, with its dependencies, into dist
	@$(python) -m scripts.package

az-lines: setup ## have azure-cli itself read every az command of the pages (installs it into .tools/azure-cli)
	@test -x .tools/azure-cli/bin/python || $(python) -m venv --without-pip .tools/azure-cli
	@$(python) -m pip --python .tools/azure-cli install --quiet --disable-pip-version-check azure-cli
	@.tools/azure-cli/bin/python scripts/az_lines.py

requirements: setup ## compile requirements*.txt anew from pyproject.toml
	@$(compile) pyproject.toml -o requirements.txt
	@$(compile) pyproject.toml --extra cli --group dev -c requirements.txt -o requirements-dev.txt
	@$(compile) --group peers -c requirements-dev.txt -o requirements-peers.txt
	@$(compile) --only-binary :all: --group chat-clients -o scripts/clients/chat-clients.txt
	@$(compile) --only-binary :all: --group chat-clients-1 -o scripts/clients/chat-clients-1.txt

clean: ## remove everything the other targets made; stops the local cloud first
	@if [ -f .local/cloud.json ] && [ -x $(python) ]; then $(python) -m local down; fi
	@rm -rf .venv .tools .local .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .grimp_cache .hypothesis .python_packages dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
