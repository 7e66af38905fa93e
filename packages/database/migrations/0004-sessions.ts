import { type Kysely, sql } from 'kysely'

/**
 * Sessions of browsers, and sign-ins that are under way at an issuer.
 *
 * Both are found by the digest of a secret that only the browser has: app.held_digest names it, and shows and changes
 * nothing but its own row. Rows whose time is over may be seen, so that they can be cleared away, and not be changed.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  // Whoever loses a membership goes on at home.
  await sql`
    CREATE TABLE sessions (
      digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
      user_id uuid NOT NULL REFERENCES users,
      chosen_org_id uuid,
      issuer text COLLATE "C",
      created_at timestamptz NOT NULL DEFAULT now(),
      expires_at timestamptz NOT NULL,
      ends_at timestamptz NOT NULL,
      CONSTRAINT sessions_choice_fkey FOREIGN KEY (chosen_org_id, user_id)
        REFERENCES memberships (org_id, user_id) ON DELETE SET NULL (chosen_org_id)
    )`.execute(db)
  await sql`CREATE INDEX sessions_of_user ON sessions (user_id)`.execute(db)
  await sql`CREATE INDEX sessions_by_expiry ON sessions (expires_at)`.execute(db)

  await sql`
    CREATE TABLE sign_ins (
      digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
      issuer text COLLATE "C" NOT NULL,
      return_to text NOT NULL CHECK (return_to ~ '^/'),
      expires_at timestamptz NOT NULL
    )`.execute(db)
  await sql`CREATE INDEX sign_ins_by_expiry ON sign_ins (expires_at)`.execute(db)

  const held = sql`(digest = (SELECT decode(nullif(current_setting('app.held_digest', true), ''), 'hex')))`
  for (const table of ['sessions', 'sign_ins']) {
    await sql`ALTER TABLE ${sql.table(table)} ENABLE ROW LEVEL SECURITY`.execute(db)
    await sql`ALTER TABLE ${sql.table(table)} FORCE ROW LEVEL SECURITY`.execute(db)
    await sql`CREATE POLICY held ON ${sql.table(table)} USING ${held} WITH CHECK ${held}`.execute(db)
    await sql`CREATE POLICY ended ON ${sql.table(table)} USING (expires_at < now()) WITH CHECK (false)`.execute(db)
  }

  // announce_access tells whoever remembers what the user may do.
  await sql`
    CREATE TRIGGER announce_access AFTER DELETE OR UPDATE OF chosen_org_id ON sessions
    FOR EACH ROW EXECUTE FUNCTION announce_access()`.execute(db)

  await sql`GRANT SELECT, INSERT, DELETE, UPDATE (chosen_org_id, expires_at) ON sessions TO orders_app`.execute(db)
  // To lock a row takes the right to change it.
  await sql`GRANT SELECT, INSERT, DELETE, UPDATE (expires_at) ON sign_ins TO orders_app`.execute(db)
}
