"""Idempotency keys: a POST that is sent again under the same key is not done again."""
