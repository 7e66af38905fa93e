import type { SignContext } from './context.ts'

/**
 * A prepared statement: `name` is unique per text, values are sent apart from it. `lockTimeoutMs` is how long it may wait
 * for another transaction, if not as long as every statement. `inTurn: false` is of a write whose caller bounds how many
 * of them run at a time. With `onePlan`, PostgreSQL plans a read once per connection instead of each time, because one
 * plan is the best for all values: a read by key took half the time.
 */
export type Statement = {
  name: string
  text: string
  values: unknown[]
  lockTimeoutMs?: number | undefined
  inTurn?: boolean
  onePlan?: boolean
}

// What a transaction begins and ends with, and the settings that last as long as it.

export const begin = { name: 'begin', text: 'BEGIN' }
export const commit = { name: 'commit', text: 'COMMIT' }
export const setTenant = (sign: SignContext, orgId: string) => ({
  name: 'set_tenant',
  text: "SELECT set_config('app.org_id', $1, true)",
  values: [sign('org_id', orgId)],
})
export const setUser = (sign: SignContext, userId: string) => ({
  name: 'set_user',
  text: "SELECT set_config('app.user_id', $1, true)",
  values: [sign('user_id', userId)],
})
export const setHeld = (sign: SignContext, digest: Buffer) => ({
  name: 'set_held',
  text: "SELECT set_config('app.held_digest', $1, true)",
  values: [sign('held_digest', digest.toString('hex'))],
})
export const setService = (sign: SignContext) => ({
  name: 'set_service',
  text: "SELECT set_config('app.service', $1, true)",
  values: [sign('service', 'orders')],
})
export const lockExclusively = (lock: number) => ({
  name: 'lock_exclusively',
  text: 'SELECT pg_advisory_xact_lock($1)',
  values: [lock],
})
export const setTenantAndPatience = (sign: SignContext, orgId: string, lockTimeoutMs: number) => ({
  name: 'set_tenant_and_patience',
  text: "SELECT set_config('app.org_id', $1, true), set_config('lock_timeout', $2, true)",
  values: [sign('org_id', orgId), String(lockTimeoutMs)],
})

export const actIn = (sign: SignContext, orgId: string) => ({
  name: 'act_in',
  text: "SELECT set_config('role', 'orders_app', true), set_config('app.org_id', $1, true), set_config('lock_timeout', '100', true)",
  values: [sign('org_id', orgId)],
})

/** The settings of a transaction that only reads with `statement`. */
export const reading = ({ name, text, values }: Statement, { onePlan = false }: Pick<Statement, 'onePlan'>) => ({
  name: `${name}_reading${onePlan ? '_with_one_plan' : ''}`,
  text: `${text}, set_config('transaction_read_only', 'on', true)${onePlan ? withOnePlan : ''}`,
  values,
})
const withOnePlan = ", set_config('plan_cache_mode', 'force_generic_plan', true)"
