"""Budgets: how many tokens an org, user or key may spend in a day, week or month, and what is left of them."""
