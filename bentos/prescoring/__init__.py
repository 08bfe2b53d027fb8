"""The prescoring service: the likely decision of every partner bank on one form."""
