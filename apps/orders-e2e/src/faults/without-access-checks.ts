/**
 * Preload of a service that is broken on purpose, without the checks that the query names, such as
 * `without-access-checks.ts?roles,home`.
 */
import { breakSources, type Change, named } from './break-sources.ts'

const api = 'apps/orders-api/src'
const checks: Record<string, Change> = {
  /** Responses that last are not checked again. */
  rechecks: [`${api}/long-responses/registry.ts`, 'await entry.request.recheck?.()', ''],
  /** Every role may do everything. */
  roles: [`${api}/plugins/access.ts`, /(?<=const isEnough = ).*/, 'true'],
  /** Sessions lack a scope that the role of their user allows. */
  'session-scopes': [
    `${api}/access/session-reader.ts`,
    'scopes: ownUserScopes',
    "scopes: ownUserScopes.filter((scope) => scope !== 'orgs:write')",
  ],
  /** A login that bypasses Row-Level Security is accepted. */
  login: ['packages/database/src/servable.ts', 'if (found.login_above)', 'if (false)'],
  /** Open mode accepts requests from other sites and for other hosts. */
  'open-mode': [
    `${api}/app.ts`,
    "if (config.AUTH_MODE === 'open') await server.register(openMode",
    'if (false) await server.register(openMode',
  ],
  /** Users who have left home get 404, also for their own account. */
  home: [`${api}/plugins/access.ts`, "!rule['x-roles'].includes('user')", 'true'],
  /** Users can be removed from their only organisation. */
  'last-membership': ['packages/orders/src/members.ts', '!(await hasMembership(trx, userId))', 'false'],
  /** The public port serves /metrics in every mode. */
  'private-metrics': [`${api}/app.ts`, "config.ADMIN_PORT === undefined && config.AUTH_MODE === 'open'", 'true'],
}

breakSources(named(import.meta.url, checks))
