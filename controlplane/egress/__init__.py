"""Egress: the one way by which the control plane calls addresses that people, or a stranger's DNS, have chosen."""
