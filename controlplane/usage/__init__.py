"""Usage: the consumer that brings events into the ledger, and the REST that reads the ledger."""
