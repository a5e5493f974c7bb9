"""The simulation: the real rules and sinks over fakes, in virtual time, all of it from one seed."""
