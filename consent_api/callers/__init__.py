"""Who calls: keys, tokens, roles, and how strangers are turned away."""
