import { type Role, type Scope, scopes } from '@orders/schema'

/** Who may call a route: anyone, any signed-in user, or those with one of these roles in the organisation. */
export type RouteRole = 'anyone' | 'user' | Role

/** What a route declares in its schema; OpenAPI shows it, the hook of plugins/access.ts enforces it. */
export type AccessRule = { 'x-roles': RouteRole[]; 'x-scopes': Scope[] }

declare module 'fastify' {
  interface FastifySchema extends Partial<AccessRule> {}
  interface FastifyContextConfig {
    /** Parameter of the address that names the organisation, instead of X-Org-Id. */
    orgParam?: string
    /** Its answers last long: who asked can be looked at again with `request.recheck`. */
    rechecks?: boolean
  }
}

const rule =
  (...roles: RouteRole[]) =>
  (...scopes: Scope[]): AccessRule => ({ 'x-roles': roles, 'x-scopes': scopes })

/** The scopes of users whom this service itself signs in: their role in the organisation decides. */
export const ownUserScopes: readonly Scope[] = scopes.filter((scope) => scope !== 'configs:write')

/** Declarations of a route's schema: `schema: { ...may.read('orders:read'), ... }`. */
export const may = {
  anyone: rule('anyone')(),
  user: rule('user'),
  /** Whoever is somebody here: also a user without an organisation, and requests without a token in open mode. */
  member: rule('user', 'owner', 'member', 'viewer'),
  read: rule('owner', 'member', 'viewer'),
  write: rule('owner', 'member'),
  own: rule('owner'),
}
