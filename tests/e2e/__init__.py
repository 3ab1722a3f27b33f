"""End to end: official clients against a running service. `IAS_E2E_TARGET=<ready file>` points them at one that already runs."""
