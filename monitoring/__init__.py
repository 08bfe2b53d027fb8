"""What the models did and how they hold up: the journal of scores, drift reports, the report workspace."""
