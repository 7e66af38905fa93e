import type { FastifyReply, FastifyRequest } from 'fastify'

/** What every page says of who looks at it. */
export type Visitor = {
  /** undefined for who is not signed in. */
  name: string | undefined
  csrf: string | undefined
  orgs: { id: string; name: string; isActing: boolean }[]
  /** Where to sign in; undefined where nobody needs to, or can. */
  signIn: string | undefined
  mayWrite: boolean
}

/** Of pages that know no sessions, such as what was not found, only that much. */
export const nobody: Visitor = { name: undefined, csrf: undefined, orgs: [], signIn: undefined, mayWrite: true }

/** Where to sign in, and come back from to what was asked for if that can be asked for again. */
export const signInUrl = ({ method, url }: FastifyRequest) =>
  method === 'GET' && url !== '/' ? `/sign-in?${new URLSearchParams({ return_to: url })}` : '/sign-in'

export function visitorOf(reply: FastifyReply, canSignIn: boolean): Visitor {
  const { sid, caller, ownOrgs } = reply.request
  const mayWrite = caller?.role !== 'viewer'
  if (sid === null || !caller?.user) {
    return { ...nobody, mayWrite, ...(canSignIn && { signIn: signInUrl(reply.request) }) }
  }
  const orgs = ownOrgs.map(({ id, name }) => ({ id, name, isActing: id === caller.orgId }))
  return { name: caller.user.name, csrf: reply.csrfToken(), orgs, signIn: undefined, mayWrite }
}
