import { type Kysely, sql } from 'kysely'

/**
 * Projects, users, their roles in organisations, and tokens that are no longer taken.
 *
 * app.user_id names who acts, as app.org_id names the organisation: a user may read the own row, the own memberships and
 * their organisations in whatever organisation, and change none of them that way.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE projects (
      org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
      id uuid NOT NULL DEFAULT uuidv7(),
      name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
      slug text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (org_id, id),
      UNIQUE (org_id, slug)
    )`.execute(db)
  // Not valid: it holds for every order from now on, and those before could not name a project.
  await sql`
    ALTER TABLE orders ADD CONSTRAINT orders_project_fkey
    FOREIGN KEY (org_id, project_id) REFERENCES projects (org_id, id) NOT VALID`.execute(db)
  await requireOrganisation(db)

  await sql`
    CREATE TABLE users (
      id uuid PRIMARY KEY,
      name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
      home_org_id uuid NOT NULL REFERENCES organisations,
      created_at timestamptz NOT NULL DEFAULT now()
    )`.execute(db)
  await sql`CREATE INDEX users_at_home ON users (home_org_id)`.execute(db)
  await sql`CREATE SEQUENCE guest_numbers`.execute(db)

  await sql`
    CREATE TABLE memberships (
      org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
      user_id uuid NOT NULL CONSTRAINT memberships_user_fkey REFERENCES users,
      role text COLLATE "C" NOT NULL CHECK (role IN ('owner', 'member', 'viewer')),
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (org_id, user_id)
    )`.execute(db)
  await sql`CREATE INDEX memberships_of_user ON memberships (user_id)`.execute(db)

  // Kept until the token would have ended by itself.
  await sql`
    CREATE TABLE revoked_tokens (
      user_id uuid NOT NULL,
      jti text COLLATE "C" NOT NULL,
      expires_at timestamptz NOT NULL,
      PRIMARY KEY (user_id, jti)
    )`.execute(db)

  const org = sql`(SELECT nullif(current_setting('app.org_id', true), '')::uuid)`
  const me = sql`(SELECT nullif(current_setting('app.user_id', true), '')::uuid)`
  for (const table of ['projects', 'users', 'memberships', 'revoked_tokens']) {
    await sql`ALTER TABLE ${sql.table(table)} ENABLE ROW LEVEL SECURITY`.execute(db)
    await sql`ALTER TABLE ${sql.table(table)} FORCE ROW LEVEL SECURITY`.execute(db)
  }
  for (const table of ['projects', 'memberships']) {
    await sql`CREATE POLICY tenant ON ${sql.table(table)} USING (org_id = ${org}) WITH CHECK (org_id = ${org})`.execute(
      db,
    )
  }
  await sql`CREATE POLICY own ON memberships FOR SELECT USING (user_id = ${me})`.execute(db)
  await sql`CREATE POLICY own ON users USING (id = ${me}) WITH CHECK (id = ${me})`.execute(db)
  await sql`
    CREATE POLICY members ON users FOR SELECT
    USING (id IN (SELECT user_id FROM memberships WHERE org_id = ${org}))`.execute(db)
  await sql`
    CREATE POLICY own ON organisations FOR SELECT
    USING (id IN (SELECT org_id FROM memberships WHERE user_id = ${me}))`.execute(db)
  await sql`CREATE POLICY own ON revoked_tokens USING (user_id = ${me}) WITH CHECK (user_id = ${me})`.execute(db)

  await announceAccess(db)

  await sql`GRANT SELECT, INSERT, DELETE, UPDATE (name, slug, updated_at) ON organisations, projects TO orders_app`.execute(
    db,
  )
  await sql`GRANT SELECT, INSERT ON users, revoked_tokens TO orders_app`.execute(db)
  await sql`GRANT SELECT, INSERT, DELETE, UPDATE (role, updated_at) ON memberships TO orders_app`.execute(db)
  await sql`GRANT USAGE ON SEQUENCE guest_numbers TO orders_app`.execute(db)
}

/**
 * No order without its organisation, as a foreign key would have it, at one look a statement instead of one a row. The
 * lock makes a deletion of the organisation wait for the orders that are being placed, and see them. Row security has
 * made sure that the rows are of this organisation; who is above it is not asked.
 */
async function requireOrganisation(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE FUNCTION require_organisation() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      org uuid := nullif(current_setting('app.org_id', true), '')::uuid;
    BEGIN
      IF org IS NULL THEN RETURN NULL; END IF;
      PERFORM FROM organisations WHERE id = org FOR KEY SHARE;
      IF NOT FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = 'the organisation is gone', CONSTRAINT = 'orders_org_fkey';
      END IF;
      RETURN NULL;
    END $$`.execute(db)
  await sql`
    CREATE TRIGGER require_organisation AFTER INSERT ON orders
    FOR EACH STATEMENT EXECUTE FUNCTION require_organisation()`.execute(db)
}

/** Whoever remembers what a user may do hears at commit that it changed, whatever changed it. */
async function announceAccess(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE FUNCTION announce_access() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM pg_notify('access', coalesce(new.user_id, old.user_id)::text);
      RETURN NULL;
    END $$`.execute(db)
  await sql`
    CREATE TRIGGER announce_access AFTER UPDATE OR DELETE ON memberships
    FOR EACH ROW EXECUTE FUNCTION announce_access()`.execute(db)
  await sql`
    CREATE TRIGGER announce_access AFTER INSERT ON revoked_tokens
    FOR EACH ROW EXECUTE FUNCTION announce_access()`.execute(db)
}
