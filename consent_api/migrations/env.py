"""Lets alembic run the migrations on the connection that `Store.migrate` gives it."""

from alembic import context

from consent_api.revisions import TABLE
from consent_api.tables import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SCHEMA,
    version_table=TABLE,
)
with context.begin_transaction():
    context.run_migrations()
