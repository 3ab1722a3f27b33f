"""Metering: follows every admitted request through Envoy's ext_proc, counts its tokens and records one event."""
