"""Failure under load, in pieces that fit together: `ground` (what runs), `load`, `faults`, `accounting`. Named targets, not part of `make test`."""
