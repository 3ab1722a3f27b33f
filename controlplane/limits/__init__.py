"""Limits: how fast orgs, users, keys and publications may go, and how tokens of an org are held."""
