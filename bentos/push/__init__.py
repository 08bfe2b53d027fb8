"""Push texts: written from observed facts, checked against the rules of the bank, the same for the same inputs."""
