"""Organisations, the tenants."""
