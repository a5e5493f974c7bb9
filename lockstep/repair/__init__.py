"""Repairing the differences that an audit finds."""
