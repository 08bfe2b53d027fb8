"""The income service: what a client earns a month, why, and what to offer."""
