import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { OrdersError } from '@orders/orders'
import { GuestSignIn, Me } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import { may } from '../access/rules.ts'
import { callerRefusals, refusals } from './refusals.ts'

/** Signs guests in, and tells callers who they are. */
export const meRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { people } = app

  app.post(
    '/auth/guest',
    {
      bodyLimit: 4096,
      config: { rateLimit: 'guests' },
      schema: {
        ...may.anyone,
        summary: 'Sign in as a new guest',
        description:
          'Makes a guest, who owns a new organisation, and a token for 24 hours. No personal data is asked for.',
        tags: ['people'],
        response: { 201: Type.Ref(GuestSignIn), ...refusals('NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const { guestTokens } = app
      if (!guestTokens) throw new OrdersError('NOT_FOUND', 'Guests are not taken here.')
      const { user, org } = await people.signUpGuest()
      app.audit(request, 'guest.signed-in', { user: user.id, org: org.id })
      return reply.code(201).send({ ...(await guestTokens.issue(user.id)), user, org })
    },
  )

  app.get(
    '/me',
    {
      schema: {
        ...may.member(),
        summary: 'Who am I, where, in which role',
        tags: ['people'],
        response: { 200: Type.Ref(Me), ...callerRefusals() },
      },
    },
    async ({ caller: { user, orgId, role, scopes } }) => ({
      user,
      org_id: role === null ? null : orgId,
      role,
      scopes: [...scopes],
      organisations: user ? await people.ownOrgs(user.id) : [],
    }),
  )
}
