"""The pictures of the demo: drawn, with metadata in many scripts. `data/README.md` says how."""
