"""How well the search finds what it must find, measured on a judged set of queries."""
