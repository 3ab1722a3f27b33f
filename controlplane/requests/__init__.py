"""One request explained: what was decided, and what became of it."""
