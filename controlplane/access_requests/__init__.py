"""Requests for access: users ask for a model, admins approve it or say why not."""
