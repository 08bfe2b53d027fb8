"""The fraud service: how risky a payment is, and what to do about it."""
