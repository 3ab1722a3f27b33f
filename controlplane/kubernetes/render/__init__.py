"""Renders the gateway's state as manifests. Pure: equal inputs, equal output."""
