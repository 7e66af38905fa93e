import { createHash, randomBytes } from 'node:crypto'
import { brokenConstraint, type Database, type Statement } from '@orders/database'
import { orgNotFound } from './errors.ts'

/** Who is signed in: `orgId` is the organisation chosen to act in, null for the user's home. */
export type Session = { userId: string; orgId: string | null; remainingMs: number }

/** A sign-in that is under way at an issuer. */
export type SignIn = { issuer: string; returnTo: string }

type Found = { user_id: string; chosen_org_id: string | null; remaining_ms: number; stale: boolean }

/** Rows that one sign-in clears away: more than it makes, so that what has ended never piles up. */
const cleared = 20

/**
 * Sessions of browsers: a secret of 128 bits each, of which only the SHA-256 is kept. A session ends 30 minutes after
 * its last use and 12 hours after its start, by the database clock; its use is written down once a minute.
 */
export function createSessions(database: Database) {
  /** Starts a session and returns its secret. */
  async function startSession(userId: string, issuer: string | null): Promise<string> {
    const secret = newSecret()
    const digest = digestOf(secret)
    await database.runAsHolder(digest, insertSession(digest, userId, issuer))
    return secret
  }

  /** undefined if the session has ended, or never was. */
  async function readSession(secret: string): Promise<Session | undefined> {
    const digest = digestOf(secret)
    const [found] = await database.readAsHolder<Found>(digest, selectSession(digest))
    if (!found) return undefined
    if (found.stale) await database.runAsHolder(digest, touchSession(digest))
    return { userId: found.user_id, orgId: found.chosen_org_id, remainingMs: found.remaining_ms }
  }

  /** Whose session it was, and the issuer that vouched for the user; undefined if there was none. */
  async function endSession(secret: string): Promise<{ userId: string; issuer: string | null } | undefined> {
    const digest = digestOf(secret)
    const [ended] = await database.runAsHolder<{ user_id: string; issuer: string | null }>(
      digest,
      deleteSession(digest),
    )
    return ended && { userId: ended.user_id, issuer: ended.issuer }
  }

  /** Lets the session act in another organisation of its user. Throws ORG_NOT_FOUND. */
  async function chooseOrg(secret: string, orgId: string): Promise<void> {
    const digest = digestOf(secret)
    await database.runAsHolder(digest, updateChoice(digest, orgId)).catch((error) => {
      if (brokenConstraint(error) === 'sessions_choice_fkey') orgNotFound(orgId)
      throw error
    })
  }

  /** Remembers for ten minutes what a browser is to come back to, and returns the secret that finds it. */
  async function beginSignIn({ issuer, returnTo }: SignIn): Promise<string> {
    const secret = newSecret()
    const digest = digestOf(secret)
    await database.runAsHolder(digest, insertSignIn(digest, issuer, returnTo))
    return secret
  }

  /** What was remembered, once; undefined the next time, and after ten minutes. */
  async function takeSignIn(secret: string): Promise<SignIn | undefined> {
    const digest = digestOf(secret)
    const [taken] = await database.runAsHolder<{ issuer: string; return_to: string }>(digest, deleteSignIn(digest))
    return taken && { issuer: taken.issuer, returnTo: taken.return_to }
  }

  return { startSession, readSession, endSession, chooseOrg, beginSignIn, takeSignIn }
}

const newSecret = () => randomBytes(16).toString('base64url')
const digestOf = (secret: string) => createHash('sha256').update(secret).digest()

const clearing = (table: 'sessions' | 'sign_ins') => `WITH cleared AS (
      DELETE FROM ${table} WHERE digest IN (
        SELECT digest FROM ${table} WHERE expires_at < now() LIMIT ${cleared} FOR UPDATE SKIP LOCKED))`

const insertSession = (digest: Buffer, userId: string, issuer: string | null): Statement => ({
  name: 'insert_session',
  text: `${clearing('sessions')}
    INSERT INTO sessions (digest, user_id, issuer, expires_at, ends_at)
    VALUES ($1, $2, $3, now() + interval '30 minutes', now() + interval '12 hours')`,
  values: [digest, userId, issuer],
})

const selectSession = (digest: Buffer): Statement => ({
  name: 'select_session',
  text: `SELECT user_id, chosen_org_id,
      (extract(epoch FROM expires_at - now()) * 1000)::int AS remaining_ms,
      expires_at < least(now() + interval '29 minutes', ends_at) AS stale
    FROM sessions WHERE digest = $1 AND expires_at > now()`,
  values: [digest],
  onePlan: true,
})

const touchSession = (digest: Buffer): Statement => ({
  name: 'touch_session',
  text: `UPDATE sessions SET expires_at = least(now() + interval '30 minutes', ends_at)
    WHERE digest = $1 AND expires_at BETWEEN now() AND now() + interval '29 minutes'`,
  values: [digest],
})

const updateChoice = (digest: Buffer, orgId: string): Statement => ({
  name: 'update_choice',
  text: 'UPDATE sessions SET chosen_org_id = $2 WHERE digest = $1 AND expires_at > now()',
  values: [digest, orgId],
})

const deleteSession = (digest: Buffer): Statement => ({
  name: 'delete_session',
  text: 'DELETE FROM sessions WHERE digest = $1 RETURNING user_id, issuer',
  values: [digest],
})

const insertSignIn = (digest: Buffer, issuer: string, returnTo: string): Statement => ({
  name: 'insert_sign_in',
  text: `${clearing('sign_ins')}
    INSERT INTO sign_ins (digest, issuer, return_to, expires_at) VALUES ($1, $2, $3, now() + interval '10 minutes')`,
  values: [digest, issuer, returnTo],
})

const deleteSignIn = (digest: Buffer): Statement => ({
  name: 'delete_sign_in',
  text: `WITH taken AS (DELETE FROM sign_ins WHERE digest = $1 RETURNING issuer, return_to, expires_at)
    SELECT issuer, return_to FROM taken WHERE expires_at > now()`,
  values: [digest],
})
