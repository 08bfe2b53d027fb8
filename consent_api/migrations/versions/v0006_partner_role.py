"""A role of PostgreSQL for what partners read, which can read nothing about clients."""

from alembic import op

revision = "0006"
down_revision = "0005"

_ROLE = "opora_partner_reads"
_MADE = f"""
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{_ROLE}') THEN
    CREATE ROLE {_ROLE} NOLOGIN;
  END IF;
  IF NOT pg_has_role(current_user, '{_ROLE}', 'MEMBER') THEN
    EXECUTE format('GRANT {_ROLE} TO %I', current_user);
  END IF;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server was migrated at the same moment
  WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'the user % may not create the role {_ROLE}', current_user
      USING HINT = format('let an administrator run: CREATE ROLE {_ROLE} NOLOGIN; GRANT {_ROLE} TO %I', current_user);
END $$
"""


def upgrade() -> None:
    """The role, and its rights in this schema."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(_MADE)
    op.execute(f"DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO {_ROLE}', current_schema); END $$")
    op.execute(f"GRANT SELECT ON consent_releases, consent_published TO {_ROLE}")
    op.execute(f"GRANT INSERT, SELECT (sequence, hash) ON consent_audit TO {_ROLE}")
