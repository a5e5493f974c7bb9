"""The rebuild: a new index from the table, and what the old index has newer; then the switch."""
