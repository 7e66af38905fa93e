import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { User } from '@orders/schema'
import { NameAndSlug, Organisation, OrganisationPage, PageQuery, Uuid } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import { may } from '../access/rules.ts'
import { IdempotencyHeaders, onceOf, sendMade } from './idempotency.ts'
import { callerRefusals, keyRefusals } from './refusals.ts'

const OrgParams = Type.Object({ id: Uuid })
const bodyRefusals = [
  'JSON_INVALID',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'INVALID_ORG_SLUG',
  'SLUG_TAKEN',
] as const
const location = '/api/v1/orgs/'
const tags = ['people']

/** Organisations of the caller. */
export const organisationRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { people } = app

  app.post(
    '/orgs',
    {
      bodyLimit: 4096,
      schema: {
        ...may.user('orgs:write'),
        summary: 'Make an organisation that you own',
        tags,
        headers: IdempotencyHeaders,
        body: Type.Ref(NameAndSlug),
        response: { 201: Type.Ref(Organisation), ...callerRefusals(...bodyRefusals, ...keyRefusals) },
      },
    },
    async (request, reply) => {
      const who = { userId: (request.caller.user as User).id, orgId: request.caller.homeOrgId }
      const once = onceOf<Organisation>(request, 'POST /orgs', location)
      const result = await people.createOrg(who, request.body, once)
      if (!result.replayed) app.audit(request, 'org.made', { made: result.made.id })
      return sendMade(reply, location, result) as never
    },
  )

  app.get(
    '/orgs',
    {
      schema: {
        ...may.user(),
        summary: 'List your organisations, newest first',
        tags,
        querystring: PageQuery,
        response: { 200: Type.Ref(OrganisationPage), ...callerRefusals('CURSOR_INVALID') },
      },
    },
    (request) => people.listOrgs((request.caller.user as User).id, request.query),
  )

  app.get(
    '/orgs/:id',
    {
      config: { orgParam: 'id' },
      schema: {
        ...may.read(),
        summary: 'Read an organisation',
        tags,
        params: OrgParams,
        response: { 200: Type.Ref(Organisation), ...callerRefusals() },
      },
    },
    (request) => people.getOrg(request.orgId),
  )

  app.put(
    '/orgs/:id',
    {
      bodyLimit: 4096,
      config: { orgParam: 'id' },
      schema: {
        ...may.own('orgs:write'),
        summary: 'Give an organisation another name and slug',
        tags,
        params: OrgParams,
        body: Type.Ref(NameAndSlug),
        response: { 200: Type.Ref(Organisation), ...callerRefusals(...bodyRefusals) },
      },
    },
    async (request) => {
      const org = await people.replaceOrg(request.orgId, request.body)
      app.audit(request, 'org.changed')
      return org
    },
  )

  app.delete(
    '/orgs/:id',
    {
      config: { orgParam: 'id' },
      schema: {
        ...may.own('orgs:write'),
        summary: 'Delete an organisation that has no orders',
        description: 'Its projects and memberships go with it. The home of a user stays.',
        tags,
        params: OrgParams,
        response: { 204: Type.Null(), ...callerRefusals('ORG_IN_USE') },
      },
    },
    async (request, reply) => {
      await people.removeOrg(request.orgId)
      app.audit(request, 'org.deleted')
      return reply.code(204).send(null)
    },
  )
}
