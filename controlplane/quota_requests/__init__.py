"""Requests for more: a user asks for a larger budget or limit, an admin approves or rejects."""
