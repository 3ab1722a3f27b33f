"""Invites: how people come into an org."""
