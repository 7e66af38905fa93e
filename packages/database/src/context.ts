import { createHmac } from 'node:crypto'
import { DatabaseError } from './errors.ts'

/** What a transaction may act as: the setting `app.<name>` holds the signed value. */
export type ContextName = 'org_id' | 'user_id' | 'held_digest' | 'service'

/**
 * Returns `value.expiry.signature`, which the view signed_<name> of the database accepts until it expires (seconds since
 * 1970). The signature is hexadecimal. Throws a DatabaseError without a key.
 */
export type SignContext = (name: ContextName, value: string) => string

const lifetimeSeconds = 30
const reuseMs = 5000
const jumpMs = 1000
const cacheSize = 10_000
/** Minimum length of a secret, in characters. A shorter one could be guessed. */
export const shortestSecret = 32

/**
 * Returns the key (32 bytes) that signs contexts, derived from `setting` (CONTEXT_KEY) or else from the password in `url`.
 * Returns undefined for a password of fewer than 32 characters, because a signature lets an attacker test guesses offline.
 * Throws TypeError for a `url` that is no address.
 */
export function contextKeyOf(url: string, setting?: string): Buffer | undefined {
  if (setting !== undefined) return derive(setting)
  const password = decodeURIComponent(new URL(url).password)
  return password.length < shortestSecret ? undefined : derive(password)
}

const derive = (secret: string) => createHmac('sha256', 'orders context').update(secret).digest()

/**
 * Returns `sign`, which signs contexts for 30 s by the clock of the database and reuses each signature for up to 5 s, and
 * `observe`, which receives the time of the database (seconds since 1970).
 */
export function createContextSigner(key: Buffer | undefined, elapsedMs: () => number = () => performance.now()) {
  let originMs = performance.timeOrigin + performance.now() - elapsedMs()
  let reusableUntil = 0
  const signed = new Map<string, string>()

  const sign: SignContext = (name, value) => {
    if (!key) throw new DatabaseError(missingKey)
    const now = elapsedMs()
    if (now >= reusableUntil || signed.size >= cacheSize) {
      signed.clear()
      reusableUntil = now + reuseMs
    }
    const subject = `${name}:${value}`
    const known = signed.get(subject)
    if (known !== undefined) return known
    const expiry = Math.floor((originMs + now) / 1000) + lifetimeSeconds
    const context = `${value}.${expiry}.${createHmac('sha256', key).update(`${subject}.${expiry}`).digest('hex')}`
    signed.set(subject, context)
    return context
  }

  function observe(databaseSeconds: number): void {
    const origin = databaseSeconds * 1000 - elapsedMs()
    if (Math.abs(origin - originMs) > jumpMs) reusableUntil = 0
    originMs = origin
  }

  return { sign, observe }
}

const missingKey = `CONTEXT_KEY is not set, and the password of DATABASE_URL is too short to derive a key from: set CONTEXT_KEY to a random text of at least ${shortestSecret} characters.`
