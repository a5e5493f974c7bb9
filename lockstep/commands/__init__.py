"""The operator's commands, one module for each subject; `lockstep.cli` combines them."""
