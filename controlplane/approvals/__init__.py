"""Approvals: which models of the catalog the people of an org may use, as their admins decide."""
