"""What every HTTP service does before a handler: one error shape, a body limit, keys."""
