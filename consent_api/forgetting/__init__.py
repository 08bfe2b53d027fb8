"""Deleting what a client may have deleted, with evidence that names nobody."""
