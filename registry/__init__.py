"""What a model is, and which version of it is in force."""
