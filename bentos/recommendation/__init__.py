"""The recommendation service: the products that are worth most to a client."""
