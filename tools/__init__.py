"""Development programs: `python -m tools.NAME` generates a file, draws a report or measures.

They are no part of the wheel. `make generated`, `bugs`, `model`, `mutation`, `relevance` and
`screenshots` run them.
"""
