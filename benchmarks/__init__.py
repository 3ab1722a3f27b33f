"""Measurements: pairs in one run, a table for people, and one last line `RESULT {json}` for machines."""
