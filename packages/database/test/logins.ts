import type pg from 'pg'

/** Creates a login that owns the database `name` and is no superuser, and returns its address. */
export async function createOwner(admin: pg.Client, url: string, name: string): Promise<string> {
  const login = `owner_${name}`.slice(0, 63)
  await admin.query(
    `CREATE ROLE "${login}" LOGIN PASSWORD 'secret' CREATEROLE; ALTER DATABASE "${name}" OWNER TO "${login}"`,
  )
  await admin.query(`GRANT orders_app, orders_worker TO "${login}" WITH ADMIN OPTION`)
  const address = new URL(url)
  address.username = login
  address.password = 'secret'
  return address.href
}

/** Creates a login as production has it, and returns its address: it may act as `role`, and has no other right. */
export async function createLogin(
  admin: pg.Client,
  url: string,
  { name, password = 'secret', role }: { name: string; password?: string; role?: string },
): Promise<string> {
  const login = name.slice(0, 63)
  await admin.query(`CREATE ROLE "${login}" LOGIN PASSWORD '${password}'`)
  if (role) await admin.query(`GRANT ${role} TO "${login}"`)
  const address = new URL(url)
  address.username = login
  address.password = password
  return address.href
}
