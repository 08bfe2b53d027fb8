"""The endpoints, by who calls them, and what goes in and out of them."""
