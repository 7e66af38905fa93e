import { type Kysely, sql } from 'kysely'

/**
 * Revokes rights from PUBLIC that the service does not use but injected SQL could. Temporary tables can fill the disk and
 * hide tables of the same name. Large objects belong to no organisation.
 *
 * Only the owner of the database can revoke the first, and only a superuser the second. Where the role that migrates is
 * neither, an administrator revokes them.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    DO $$ BEGIN
      IF (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()) THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
      END IF;
    END $$`.execute(db)
  await sql`
    DO $$ DECLARE
      large_object regprocedure;
    BEGIN
      IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN RETURN; END IF;
      FOR large_object IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^(lo_.+|loread|lowrite)$'
      LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', large_object);
      END LOOP;
    END $$`.execute(db)
}
