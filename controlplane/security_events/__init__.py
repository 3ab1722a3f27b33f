"""Security events: what the gateway refused, brought into PostgreSQL and shown to those whom it concerns."""
