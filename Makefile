# The one entrance. Each target is a line or two; the work is done in Python: infra/native/, app/commands/.
SHELL := /bin/sh
# What others have set for other programs: with these, pip installs elsewhere, Python does not find this folder's modules,
# Java says what nobody reads.
unexport PIP_USER PIP_TARGET PIP_PREFIX PYTHONHOME PYTHONSAFEPATH PYTHONOPTIMIZE JAVA_TOOL_OPTIONS _JAVA_OPTIONS
# Setup may need a proxy; what runs here never does.
export no_proxy := $(or $(no_proxy),$(NO_PROXY)),127.0.0.1,localhost
export NO_PROXY := $(no_proxy)
# The user of a container may have none.
ifeq ($(HOME),)
export HOME := $(CURDIR)/.stack
endif
# Not called PYTHON: with that a user chooses the interpreter for setup.
PY := .venv/bin/python
# exec: a signal that make passes on reaches the command, not a shell in between that leaves it running.
STACK = $(ready) && exec $(PY) -m infra.native
FAUST = $(ready) && $(secured) && exec $(PY) -m faust -A app.main
# Commands on a running stack do not set up: they must be quick, and what they need is there if something runs.
ready = { test -x $(PY) || { echo "not set up yet; run: make setup"; exit 1; }; }
# A secured stack's names, passwords and certificates, as `make up SECURE=1` has made them.
secured = { test ! -f .stack/data/secure/environment || . ./.stack/data/secure/environment; }
# Three brokers, where the data are of three: a command asks the others when the first is dead.
ifneq ($(wildcard .stack/data/brokers),)
export KAFKA_BROKERS ?= $(shell cat .stack/data/brokers)
endif
# From the command line alone: a MODE in the environment is somebody else's. FORM is what it was called before.
mode = $(if $(filter command,$(origin MODE)),$(MODE),$(FORM))
# A switch is on whatever it is set to, but for these.
on = $(filter-out 0 no false off,$(1))
TOPICS := transaction_created transaction_status transaction_label merchant_totals transaction_created.dead_letter

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## the Python packages and the servers, into .venv and a cache; fast when repeated
	@sh infra/native/setup.sh

demo: setup ## the whole system: start, 200 transactions, a summary, stop [MODE=combined]
	@exec $(PY) -m reconciliation.demo --mode "$(mode)"

test: setup ## the tests, on the real servers, in minutes; a skip is a failure [ARGS="-k name"]
	@exec $(PY) -m pytest -m "not long and not telemetry and not browser and not containers" $(ARGS)

test-long: setup ## the rest of the tests: outages that take minutes, the other mode, compose rehearsed without Docker
	@exec $(PY) -m pytest -m "long and not telemetry and not browser and not containers" $(ARGS)

test-telemetry: setup ## the tests that need the system's prometheus: no panel is empty, each alert fires when it should
	@exec $(PY) -m pytest -m telemetry $(ARGS)

test-browser: setup ## the live page in a real browser; needs chromium and playwright, and says how to get them
	@$(PY) -m tests.browser.needs && exec $(PY) -m pytest -m browser tests/browser $(ARGS)

test-containers: setup ## the system in containers: contract, kills, data, memory; needs Docker and Compose v2 [BASE=image]
	@$(PY) -m tests.containers.needs && exec $(PY) -m pytest -m containers tests/containers tests/secured_containers $(ARGS)

lint: setup ## ruff, mypy and the import rules
	@$(PY) -m ruff check && $(PY) -m ruff format --check && $(PY) -m mypy && $(PY) -c "from importlinter.cli import lint_imports_command as run; run()"

audit: setup ## security advisories for the locked Python packages (asks the package index), and the licences of what is shipped
	@$(PY) -m infra.audit

sbom: setup ## all that runs, by name, version and hash, as CycloneDX: sbom.cdx.json
	@$(PY) -m infra.sbom

up: setup ## start in the background, return when ready [ONLY=bff,transactions] [MODE=split|combined] [WITH=prometheus,traces] [KAFKA=3] [SECURE=1]
	@$(STACK) up --only "$(ONLY)" --with "$(WITH)" --mode "$(mode)" --kafka "$(KAFKA)" $(if $(call on,$(SECURE)),--secure)

down: ## stop everything, also what a crash left; data is kept
	@$(STACK) down

ps: ## one line per process: name, state, pid, port, ready
	@$(STACK) ps

stop: ## stop a process gracefully: NAME=cassandra-2
	@$(STACK) stop "$(NAME)"

start: ## start it again and wait until it is ready: NAME=cassandra-2 [SETTING=value]
	@$(STACK) start "$(NAME)"

restart: ## stop, then start: NAME=bff
	@$(STACK) restart "$(NAME)"

kill: ## SIGKILL, as in a crash; nothing restarts it: NAME=redis
	@$(STACK) kill "$(NAME)"

pause: ## SIGSTOP, as when it hangs: NAME=redis
	@$(STACK) pause "$(NAME)"

resume: ## SIGCONT: NAME=redis
	@$(STACK) resume "$(NAME)"

scale: ## run N of them: NAME=transactions N=2 (or NAME=bff)
	@$(STACK) scale "$(NAME)" "$(N)"

logs: ## the last 50 lines: NAME=transactions [FOLLOW=1]
	@$(STACK) logs "$(NAME)" $(if $(call on,$(FOLLOW)),--follow)

backup: ## copy what Kafka, the registry and Cassandra hold, as of one moment: [TO=folder]
	@$(STACK) backup "$(TO)"

restore: ## put a backup in the place of data that are gone; after make down, make clean: FROM=folder
	@$(STACK) restore "$(FROM)"

cqlsh: ## a prompt on a Cassandra node: NAME=cassandra-2 [CQL="SELECT …"]
	@$(STACK) cqlsh "$(NAME)" --execute "$$CQL"

topic: ## records as JSON lines, newest last: NAME=transaction_created [FOLLOW=1]
	@test -n "$(NAME)" || { echo "which topic? say NAME=…; the topics are: $(TOPICS)"; exit 1; }
	@$(FAUST) topic "$(NAME)" $(if $(call on,$(FOLLOW)),--follow)

lag: ## one line per partition: end, committed, lag, age of the oldest
	@$(FAUST) lag

dead-letters: ## list what could not be processed [SHOW=partition:offset] [SEND=partition:offset|all]
	@$(FAUST) dead-letters $(if $(SHOW),--show "$(SHOW)") $(if $(SEND),--send-back "$(SEND)")

pass-over: ## write an unreadable batch to the dead letters: AT=topic:partition:offset, as the log and lag say
	@$(FAUST) pass-over "$(AT)"

partitions: ## more partitions for the live topics, under load: COUNT=12, a multiple [LIST=moved.csv: the customers that move]
	@test -n "$(COUNT)" || { echo "how many are there to be? say COUNT=12, a multiple of what make lag shows"; exit 1; }
	@$(FAUST) partitions --count "$(COUNT)" $(if $(LIST),--list "$(LIST)")

reassess: ## re-assess what was rejected while antifraud was unavailable [DRY=1]
	@$(FAUST) reassess $(if $(call on,$(DRY)),--dry-run)

replay: ## rebuild the stores from the log [INTO=cassandra|redis|both] [SINCE=3600] [RATE=1000] [DRY=1] [RESUME=1]
	@$(FAUST) replay $(if $(INTO),--into "$(INTO)") $(if $(SINCE),--since "$(SINCE)") $(if $(UNTIL),--until "$(UNTIL)") \
	  $(if $(FROM),--from-offset "$(FROM)") $(if $(TO),--to-offset "$(TO)") $(if $(RATE),--rate "$(RATE)") \
	  $(if $(call on,$(DRY)),--dry-run) $(if $(call on,$(RESUME)),--resume)

verify: ## compare log, Cassandra and Redis, every column: 0 they agree, 1 they differ, 2 not checked [JSON=1] [FEATURES=1]
	@$(FAUST) verify $(if $(call on,$(JSON)),--json) $(if $(call on,$(FEATURES)),--features)

evaluate: ## what was decided, measured by the labels that have arrived [SINCE=86400] [JSON=1]
	@$(FAUST) evaluate $(if $(SINCE),--since "$(SINCE)") $(if $(call on,$(JSON)),--json)

backtest: ## decide a span of the log anew: MODEL=version and THRESHOLD=0.4, or one of them [SINCE=86400] [UNTIL=3600] [JSON=1]
	@$(FAUST) backtest $(if $(MODEL),--model "$(MODEL)") $(if $(THRESHOLD),--threshold "$(THRESHOLD)") \
	  $(if $(SINCE),--since "$(SINCE)") $(if $(UNTIL),--until "$(UNTIL)") $(if $(call on,$(JSON)),--json)

disagreements: ## where the second model (ANTIFRAUD_SHADOW) says otherwise [MODEL=version] [SINCE=86400] [UNTIL=3600] [JSON=1]
	@$(FAUST) disagreements $(if $(MODEL),--model "$(MODEL)") $(if $(SINCE),--since "$(SINCE)") \
	  $(if $(UNTIL),--until "$(UNTIL)") $(if $(call on,$(JSON)),--json)

recovery: setup ## both stores thrown away and rebuilt, watched by a client; verify at the end
	@exec $(PY) -m reconciliation.recovery

exercise: setup ## break the system and watch: N=1 … N=13 [CONTROL=1: without its safeguard, it must fail]
	@test -n "$(N)" || { echo "which one? say N=1 … N=13; docs/exercises/README.md says what each is about"; exit 1; }
	@exec $(PY) -m exercises "$(N)" $(if $(call on,$(CONTROL)),--control)

exercises: setup ## all of them, one after the other, and a table
	@exec $(PY) -m exercises

soak: setup ## half of the capacity, a random process killed every 20 s; writes exercises/soak.md [SEED=1] [MINUTES=10]
	@exec $(PY) -m exercises.soak $(if $(SEED),--seed "$(SEED)") $(if $(MINUTES),--minutes "$(MINUTES)")

rolling-restart: setup ## every part restarted under load, one after the other; takes KAFKA=3; writes exercises/rolling_restart.md [RATE=300]
	@exec $(PY) -m exercises.rolling_restart $(if $(RATE),--rate "$(RATE)")

soak-history: setup ## a million transactions over 50 kills and 20 moves of partitions, each feature compared with the log [SEED=1]
	@exec $(PY) -m exercises.history_soak $(if $(SEED),--seed "$(SEED)")

lab: setup ## the live page with hands, in a browser: kill, slow down, send load, play the exercises [LAB_PORT=5050]
	@exec $(PY) -m lab

clean: ## down, then delete data and logs; downloads and backups are kept
	@$(STACK) clean

train: setup ## train the antifraud model again, and judge it; needs scikit-learn, and says how to get it
	@exec $(PY) -m antifraud.training commerce

train-handbook: setup ## the network on the Fraud Detection Handbook's simulator, five seeds; needs scikit-learn
	@exec $(PY) -m antifraud.training handbook

dashboards: ## write the files of infra/grafana/dashboards anew from their descriptions
	@$(ready) && exec $(PY) -m infra.grafana

bench: setup ## measure all within 140 minutes, write benchmarks/report.md [QUICK=1: within 24, for a look]
	@$(PY) -m benchmarks.environment
	@exec $(PY) -m benchmarks $(if $(call on,$(QUICK)),--quick)

.PHONY: help setup demo test test-long test-telemetry test-browser test-containers dashboards lint audit sbom up down ps stop start restart kill pause resume scale logs backup restore cqlsh topic lag dead-letters pass-over partitions reassess replay verify evaluate backtest disagreements recovery exercise exercises soak soak-history rolling-restart lab clean train train-handbook bench
