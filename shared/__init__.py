"""The rules of both consumers: record, event, change, outcome. Pure: no client, no clock."""
