"""Repairs the differences that an audit finds, and purges expired tombstones."""
