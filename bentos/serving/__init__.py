"""What the four services have in common: application, guards, formats and figures."""
