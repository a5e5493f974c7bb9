"""Development programs. `python -m tools.NAME` generates a file, prints a report or measures.

They are not part of the wheel. `make generated`, `make bugs`, `make model`, `make mutation`, `make
relevance` and `make screenshots` run them.
"""
