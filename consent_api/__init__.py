"""Consents of clients, and the anonymised aggregates that partners get of those who consented."""
