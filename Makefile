# Sets up .venv from the pinned requirements, then runs a task of pyproject.toml.
# `make demo ARGS=--headless` passes arguments on.
VENV := .venv/bin
TASKS := demo test lint check format protos bench fuzz soak

.PHONY: $(TASKS) install pins
$(TASKS): install
	@$(VENV)/poe -q $@ $(ARGS)

# Rebuilds the workers when a source has changed, else does nothing.
install: .venv/.pinned
	@$(VENV)/uv pip install -q --python $(VENV)/python --no-deps --no-build-isolation -e .

.venv/.pinned: requirements/dev.txt requirements/uv.txt requirements/system-packages.sh
	@sh requirements/system-packages.sh
	python3 -m venv .venv
	$(VENV)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/uv.txt
	$(VENV)/uv pip sync -q --python $(VENV)/python --require-hashes requirements/dev.txt requirements/uv.txt
	@touch $@

# After an edit of the dependencies in pyproject.toml.
pins: .venv/.pinned
	$(VENV)/uv pip compile -q pyproject.toml --group dev --generate-hashes --no-header --no-annotate -o requirements/dev.txt
