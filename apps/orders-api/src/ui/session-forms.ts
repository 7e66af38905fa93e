import { OrdersError } from '@orders/orders'
import { isUuid } from '@orders/schema'
import type { FastifyInstance } from 'fastify'
import { may } from '../access/rules.ts'
import { readValues } from './fields.ts'
import { leaveFor, originOf, type SignInOptions } from './sign-in-page.ts'

/** What whoever is signed in can do on every page: sign out, and go to another organisation. */
export async function sessionForms(app: FastifyInstance, { clients, publicUrl }: SignInOptions) {
  const signedOut = '/sign-in?done=signed-out'

  app.post(
    '/sign-out',
    {
      schema: may.anyone,
      // The form of a session that has ended is nobody's, and there is nothing left to do.
      onRequest: async (request, reply) => (request.sid === null ? reply.redirect(signedOut, 303) : undefined),
    },
    async (request, reply) => {
      const ended = await reply.signOut()
      if (ended) app.audit(request, 'user.signed-out')
      const client = clients.get(ended?.issuer ?? '')
      // An issuer that is away keeps nobody signed in here.
      const url = await client?.endUrl(`${originOf(request, publicUrl)}/sign-in`).catch(() => undefined)
      return client && url ? leaveFor(reply, url, `Sign out of ${client.name}`) : reply.redirect(signedOut, 303)
    },
  )

  app.post('/ui/organisation', { schema: may.user() }, async (request, reply) => {
    const { org_id } = readValues(request.body, ['org_id'])
    const { sid, caller } = request
    if (sid === null || !caller.user || !isUuid(org_id)) {
      throw new OrdersError('ORG_NOT_FOUND', 'Choose one of your own organisations.')
    }
    await app.people.chooseOrg(sid, org_id)
    app.forgetCaller(caller.user.id)
    return reply.redirect('/', 303)
  })
}
