"""The first read of an audit in many tasks, which several processes do at the same time."""
