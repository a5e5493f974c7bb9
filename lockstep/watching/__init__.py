"""Seeing a stack now, again and again: what is read, its rates, and how a terminal shows it."""
