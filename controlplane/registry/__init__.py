"""The registry: what a model is for an org, over REST and, from memory, over gRPC (seed 003, UC-001 and UC-002)."""
