-- Run once by the PostgreSQL of docker-compose.yml, as its superuser, when its volume is empty: a database and a login for each
-- who keeps something, and no way from one to another. Passwords come from the environment, so that they stand nowhere.
\set ON_ERROR_STOP on
\getenv bank_password BANK_PASSWORD
\getenv consent_password CONSENT_PASSWORD
\getenv mlflow_password MLFLOW_PASSWORD
\getenv prefect_password PREFECT_PASSWORD

CREATE ROLE bank LOGIN PASSWORD :'bank_password';
CREATE ROLE consent LOGIN PASSWORD :'consent_password';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE ROLE prefect LOGIN PASSWORD :'prefect_password';

-- What partners read is read with this one's rights (docs/decisions/018-partner-role.md); consent itself may make no role.
SELECT 'CREATE ROLE opora_partner_reads NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'opora_partner_reads') \gexec
GRANT opora_partner_reads TO consent;

CREATE DATABASE bank OWNER bank;
CREATE DATABASE consent OWNER consent;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE prefect OWNER prefect;
REVOKE CONNECT, TEMPORARY ON DATABASE bank, consent, mlflow, prefect FROM PUBLIC;

-- Clients see their own profile in the consent service: it reads the online features, whose table a scoring service makes later, and
-- nothing else of the bank's.
GRANT CONNECT ON DATABASE bank TO consent;
\connect bank
CREATE FUNCTION share_online_features() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'public.online_features') THEN
        GRANT SELECT ON public.online_features TO consent;
    END IF;
END $$;
CREATE EVENT TRIGGER share_online_features ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
    EXECUTE FUNCTION share_online_features();
