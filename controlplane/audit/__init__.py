"""The audit log: one row for each write, written by the unit of work."""
