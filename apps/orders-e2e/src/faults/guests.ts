import { execFileSync } from 'node:child_process'
import { createPrivateKey, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { send } from './http.ts'
import { secondsNow, signJws } from './tokens.ts'

const program = join(import.meta.dirname, '../../../orders-api/src/guest-keys.ts')

export type Guest = { id: string; orgId: string; authorization: string }

/** A value for GUEST_KEYS. */
export const newGuestKeys = (): string => execFileSync(process.execPath, [program], { encoding: 'utf8' })

/** Signs in at the API as a new guest, who owns a new organisation. */
export async function signIn(url: string): Promise<Guest> {
  const { body } = await send(`${url}/api/v1/auth/guest`, { method: 'POST' })
  const { access_token, user, org } = JSON.parse(body)
  return { id: user.id, orgId: org.id, authorization: `Bearer ${access_token}` }
}

/** Sends a request to the API as a guest, in the guest's home unless the path names another organisation. */
export const call = (
  url: string,
  { authorization }: Pick<Guest, 'authorization'>,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: object,
) => send(`${url}/api/v1${path}`, { method, headers: { authorization }, ...(body && { body }) })

/** Makes a guest a member of the owner's organisation, or gives a member another role. Throws an Error if it cannot. */
export async function setRole(
  url: string,
  owner: Guest,
  { id }: Guest,
  role: string,
  orgId = owner.orgId,
): Promise<void> {
  const { status, body } = await call(url, owner, 'PUT', `/orgs/${orgId}/members/${id}`, { role })
  if (status >= 300) throw new Error(`${status} ${body}`)
}

/** Creates an organisation of the owner, and returns its id. */
export async function newOrg(url: string, owner: Guest): Promise<string> {
  const { body } = await call(url, owner, 'POST', '/orgs', { name: 'Other', slug: `other-${owner.id}` })
  return JSON.parse(body).id
}

/** Signs a token of a guest, which expires after so many seconds. */
export function signToken(guestKeys: string, userId: string, lifetimeSeconds: number): string {
  const [jwk] = JSON.parse(guestKeys).keys
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const iat = secondsNow()
  const claims = {
    iss: 'orders',
    aud: 'orders',
    sub: userId,
    jti: randomUUID(),
    iat,
    exp: iat + lifetimeSeconds,
    scope: 'orders:read orders:write orgs:write',
  }
  return signJws({ alg: 'EdDSA', kid: jwk.kid, typ: 'at+jwt' }, claims, key)
}
