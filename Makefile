# The contributor's guide, as recipes. Each target does its own set-up: `python3`, `make` and the
# network are all it needs.
#
#   make demo     2,000 real records through the whole system, once, in a scratch folder
#   make test     everything that must hold: under 10 minutes after the first download
#   make check    the fast part: lint, types, layers, unit tests
#   make nightly  what takes hours, and is kept on record
.DEFAULT_GOAL := test
.PHONY: demo test nightly nightly-simulation nightly-crashes nightly-search kills rebuilds \
  audit-at-scale roles check lint types layers unit simulation bugs mutation proofs model fuzz \
  contract wire faults search relevance flow crashes local-stack scenarios screenshots package \
  generated format pins clean

# Containers often set it. Each process then compiles all that it imports; tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

venv := .venv
bin := $(venv)/bin
tools := .tools

# The Python of the operator's tool: PYTHON, or the first that is found in one of these versions.
PYTHON :=
versions := 3.13 3.12 3.14
# The Python of the functions: the runtime in template.yaml.
functions_version := 3.13

# An environment keeps the Python that it was made with.
version_of = $(shell $(1) -c 'import platform; print(platform.python_version())')
ifneq ($(PYTHON),)
ifneq ($(wildcard $(bin)/python),)
ifneq ($(call version_of,$(PYTHON)),$(call version_of,$(bin)/python))
$(error $(venv) runs Python $(call version_of,$(bin)/python), not $(PYTHON): run `make clean` first)
endif
endif
endif

# uv trusts the certificate authorities that the system trusts. An old uv on PATH cannot.
export UV_SYSTEM_CERTS := true
uv := $(shell uv --system-certs --version >/dev/null 2>&1 && echo uv || echo $(tools)/uv/bin/uv)
uv_from_pypi := $(filter $(tools)/%,$(uv))
sync = VIRTUAL_ENV=$(1) $(uv) pip sync --quiet --require-hashes $(2)

demo: $(venv)/run.done
	$(bin)/lockstep demo

# Four groups at a time, the longest first: those on real engines wait as long as they work, and leave
# two cores half idle; each has engines of its own. A group is shown once it is done.
test: check $(tools)/awscli.done $(tools)/sam.done $(tools)/lambda-runtime.done
	$(MAKE) --no-print-directory --jobs=4 --output-sync=target \
	  package crashes local-stack contract faults simulation search wire scenarios proofs

# Whatever fails, the rest runs, too. The record that a line is added to is to be committed.
nightly:
	$(MAKE) --no-print-directory --keep-going nightly-simulation model fuzz mutation nightly-crashes nightly-search audit-at-scale roles

nightly-simulation: $(venv)/dev.done
	$(bin)/lockstep simulate --histories 1000000 --record docs/internals/simulation-record.md
	$(bin)/pytest $(PYTEST) -rP --timeout 7200 tests/under_fire --records 1000000

# As in `test`, but a connection is cut at every byte, and a thousand processes are killed.
nightly-crashes: $(venv)/dev.done kills rebuilds
	$(bin)/pytest $(PYTEST) --timeout 7200 tests/contract/toxics --cut-every 1

# Ten thousand texts by chance, searched for.
nightly-search: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) -rP --timeout 7200 tests/contract/search/test_any_query.py --queries 10000

# Rebuilds of the index, each killed twice, while 200 events a second arrive.
rebuilds: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/flow/test_crashes.py -k rebuild_killed \
	  --rebuilds 20 --events-a-second 200 --kills-seed $(KILLS_SEED)

KILLS = 1000
KILLS_SEED := $(shell date +%s)
kills: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/flow/test_crashes.py -k sigkill \
	  --kills $(KILLS) --kills-seed $(KILLS_SEED)

# A million images in memory, a tenth of them spoilt; then as many as the whole collection has, on
# the real engines, a third of them spoilt.
audit-at-scale: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) -rP --timeout 7200 tests/unit/audit/test_at_scale.py --images 1000000
	$(bin)/pytest $(PYTEST) -rP --timeout 7200 tests/contract/repair -k all_corruptions --images 69202

# Who may do what in an index that Dashboards shows: on OpenSearch's security plugin, fetched for it.
roles: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/roles

check: $(venv)/dev.done
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint types layers unit

lint: $(venv)/dev.done
	$(bin)/ruff check .
	$(bin)/ruff format --check .

types: $(venv)/dev.done
	$(bin)/mypy

# Who may import whom, and that every package imported is one that pyproject.toml asks for.
layers: $(venv)/dev.done
	$(bin)/lint-imports
	$(bin)/deptry .

unit: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/unit

# The real code over fakes that misbehave, in virtual time; every seeded bug must be caught.
simulation: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/simulation
	$(bin)/lockstep simulate --histories 50000

# The seeded bugs, each with the first history that catches it.
bugs: $(venv)/dev.done
	$(bin)/python -m tools.seeded_bugs

# Every small change to what keeps events, one after another: tests must see each. A nightly run.
mutation: $(venv)/dev.done
	rm -rf mutants
	$(bin)/mutmut run
	$(bin)/python -m tools.mutation

# What is gone through: every state of the model, whatever bytes may come, the producer under fire.
proofs: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/model tests/fuzz tests/under_fire

# The protocol in small, every state of it; what each seeded bug leads to, in the fewest steps.
model: $(venv)/dev.done
	$(bin)/python -m tools.model

# At length: minutes. What it finds goes into tests/corpus, by name.
fuzz: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) --timeout 3600 --hypothesis-profile=long tests/fuzz

# The stores on the real engines: what is written, compared, mended and built anew.
contract: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/contract $(patsubst %,--ignore tests/contract/%,search $(wire) $(faults))

# The engines and clients as they are, and what of theirs we stand in for.
wire := clients kinesis mapping producer
wire: $(venv)/dev.done $(tools)/awscli.done
	$(bin)/pytest $(PYTEST) $(patsubst %,tests/contract/%,$(wire))

# Engines that die, connections that are cut.
faults := engines toxics
faults: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) $(patsubst %,tests/contract/%,$(faults))

# The query side: what is found, how well, and how it looks in Debian's Chromium; where there is
# none, a line says so.
search: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/contract/search tests/relevance tests/page

# How well search finds what it must (docs/guides/search.md). ACCEPT=yes: later runs are compared with
# these figures.
relevance: $(venv)/dev.done
	$(bin)/python -m tools.relevance $(if $(filter yes,$(ACCEPT)),--accept)

# From the producer to both stores. With --jobs=3 its parts run side by side.
flow: crashes local-stack scenarios

# The local stack under SIGKILL.
crashes: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/flow/test_crashes.py

# The local stack by its commands.
local-stack: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/flow/test_local_stack.py

# What goes wrong between the stream and the stores, without the processes of a stack.
scenarios: $(venv)/dev.done
	$(bin)/pytest $(PYTEST) tests/flow --ignore tests/flow/test_crashes.py --ignore tests/flow/test_local_stack.py

# How the page looks, into docs/.
screenshots: $(venv)/dev.done
	$(bin)/python -m tools.screenshots

package: $(venv)/dev.done $(tools)/sam.done $(tools)/lambda-runtime.done
	$(bin)/pytest $(PYTEST) tests/package

# What is made from the code and kept beside it; tests say when it is out of date.
generated: $(venv)/dev.done
	$(bin)/python -m tools.event_schema > docs/event.schema.json
	$(bin)/python -m tools.sample_events
	$(bin)/python -m tools.seeded_bugs > docs/internals/seeded-bugs.md
	$(bin)/python -m tools.search_api > docs/search-api.openapi.json

format: $(venv)/dev.done
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

# Newest versions within what pyproject.toml and requirements/*.in allow, pinned with hashes.
compile = $(uv) pip compile --quiet --upgrade --universal
pins: $(venv)/dev.done
	$(compile) --python-version 3.12 --generate-hashes pyproject.toml --all-extras -o requirements/run.txt
	$(compile) --python-version 3.12 --generate-hashes pyproject.toml --all-extras --group dev -c requirements/run.txt -o requirements/dev.txt
	$(compile) --python-version $(functions_version) requirements/functions.in -c requirements/run.txt -o requirements/functions.txt
	for name in async-kinesis awscli lambda-runtime sam; do \
	  $(compile) --python-version $(functions_version) --generate-hashes requirements/$$name.in -o requirements/$$name.txt; \
	done
	$(compile) --python-version 3.8 --generate-hashes requirements/uv.in -o requirements/uv.txt

clean:
	rm -rf $(venv) $(tools) .aws-sam .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis mutants

# Environments. Those under .tools hold programs that pin another botocore than ours.
$(venv)/bin/python: | $(uv_from_pypi)
	tools/make-venv $(uv) $(venv) "$(versions)" $(PYTHON)

$(tools)/uv/bin/uv: requirements/uv.txt
	tools/bring-uv $(tools)/uv
	touch $@

$(venv)/run.done: requirements/run.txt pyproject.toml | $(venv)/bin/python $(uv_from_pypi)
	test -e $(venv)/dev.done || $(call sync,$(venv),requirements/run.txt)
	VIRTUAL_ENV=$(venv) $(uv) pip install --quiet --no-deps --editable .
	touch $@

$(venv)/dev.done: requirements/dev.txt pyproject.toml | $(venv)/bin/python $(uv_from_pypi)
	$(call sync,$(venv),requirements/dev.txt)
	VIRTUAL_ENV=$(venv) $(uv) pip install --quiet --no-deps --editable .
	touch $@ $(venv)/run.done

$(tools)/%.done: requirements/%.txt | $(venv)/bin/python $(uv_from_pypi)
	tools/make-venv $(uv) $(tools)/$* $(functions_version)
	$(call sync,$(tools)/$*,$<)
	touch $@
