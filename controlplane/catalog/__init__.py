"""The catalog: which models the backends have, what they can do and what they cost."""
