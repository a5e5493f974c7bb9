"""The table of a plan: its units on demand and provisioned, its size, and the nightly audit."""

from collections.abc import Sequence

from lockstep.plan.formulas import Formula

TABLE: Sequence[Formula] = (
    Formula(
        "item_bytes",
        "size of an item",
        "bytes",
        "event_bytes + benchmark_item_bytes - benchmark_event_bytes",
    ),
    Formula(
        "units_per_write", "write units for an event", "", "ceil(item_bytes / write_unit_bytes)"
    ),
    Formula(
        "mean_write_units",
        "on demand: write units, at the mean",
        "units/s",
        "mean_events_per_second * units_per_write",
    ),
    Formula(
        "provisioned_write_units",
        "provisioned: write units (TableWriteUnits)",
        "units/s",
        "ceil(needed_events_per_second * units_per_write / (usable_percent / 100))",
    ),
    Formula(
        "audit_units",
        "read units of an audit",
        "",
        "(images * item_bytes + tombstones * tombstone_item_bytes) / read_unit_bytes",
    ),
    Formula(
        "audit_read_units",
        "read units for the audit (AuditReadUnits)",
        "units/s",
        "max(default_audit_read_units, ceil(audit_units / audit_hours / 3600))",
    ),
    Formula(
        "provisioned_read_units",
        "provisioned: read units (TableReadUnits)",
        "units/s",
        "audit_read_units",
    ),
    Formula(
        "on_demand_units_dollars",
        "on demand: units of a month",
        "dollars",
        "mean_write_units * 2628000 / 1000000 * write_million_dollars"
        " + audit_units * 730 / 24 / 1000000 * read_million_dollars",
    ),
    Formula(
        "provisioned_units_dollars",
        "provisioned: units of a month",
        "dollars",
        "(provisioned_write_units * write_unit_hour_dollars"
        " + provisioned_read_units * read_unit_hour_dollars) * 730",
    ),
    Formula(
        "table_capacity",
        "capacity (TableCapacity)",
        "",
        "'on-demand' if on_demand_units_dollars < provisioned_units_dollars else 'provisioned'",
    ),
    Formula(
        "table_gb",
        "size of the table, as billed",
        "GB",
        "(images * (item_bytes + item_billed_bytes)"
        " + tombstones * (tombstone_item_bytes + item_billed_bytes)) / 1000000000",
    ),
    Formula(
        "audit_s",
        "time of the nightly audit",
        "s",
        "max(audit_units / audit_read_units,"
        " entries / audit_images_per_second * vcpu_mib / audit_memory_mib)",
    ),
)
