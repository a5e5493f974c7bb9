"""The operator's commands: one module a subject; `lockstep.cli` hangs them on one name."""
