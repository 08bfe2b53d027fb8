"""A consent as a record: its states, its text, and how it changes."""
