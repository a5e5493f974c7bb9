"""The whole system on one machine: engines, stream, event source mapping."""
