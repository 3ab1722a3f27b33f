"""Reconciliation: what the engines have counted, compared with what the ledger says."""
