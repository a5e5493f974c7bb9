"""The rules that both consumers obey: record, event, change, outcome. Pure: no client, no clock."""
