"""What stands in below the sinks: the engines' clients, at the request, with parts of their rules.

Where a fake and the real engine disagree, the fake is wrong: both pass the same contract suites.
"""
