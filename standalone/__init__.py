"""The whole service on one machine: starts and supervises Envoy, PostgreSQL, Valkey, the services and an engine simulator."""
