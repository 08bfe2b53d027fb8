"""A simulated bank lived through day by day with the real services, to show and test what monitoring says and does."""
