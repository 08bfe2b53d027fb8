"""What is kept outside the database because the database cannot vouch for it."""
