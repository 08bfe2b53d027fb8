"""What the models see: raw tables, the lake, feature expressions and the online store."""
