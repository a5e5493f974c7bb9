"""The simulation: the real rules and sinks over fakes, in virtual time, from one seed."""
