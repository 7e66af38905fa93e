import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Member, MemberPage, NewRole, PageQuery, Uuid } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import { may } from '../access/rules.ts'
import { callerRefusals } from './refusals.ts'

const OrgParams = Type.Object({ id: Uuid })
const MemberParams = Type.Object({ id: Uuid, user_id: Uuid })
const config = { orgParam: 'id' }
const tags = ['people']

/** Who belongs to an organisation. */
export const memberRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { people } = app

  app.get(
    '/orgs/:id/members',
    {
      config,
      schema: {
        ...may.read(),
        summary: 'List the members of an organisation, newest first',
        tags,
        params: OrgParams,
        querystring: PageQuery,
        response: { 200: Type.Ref(MemberPage), ...callerRefusals('CURSOR_INVALID') },
      },
    },
    (request) => people.listMembers(request.orgId, request.query),
  )

  app.get(
    '/orgs/:id/members/:user_id',
    {
      config,
      schema: {
        ...may.read(),
        summary: 'Read a member',
        tags,
        params: MemberParams,
        response: { 200: Type.Ref(Member), ...callerRefusals('MEMBER_NOT_FOUND') },
      },
    },
    (request) => people.getMember(request.orgId, request.params.user_id),
  )

  app.put(
    '/orgs/:id/members/:user_id',
    {
      bodyLimit: 4096,
      config,
      schema: {
        ...may.own('orgs:write'),
        summary: 'Make a user a member, or give a member another role',
        tags,
        params: MemberParams,
        body: Type.Ref(NewRole),
        response: {
          200: Type.Ref(Member, { description: 'The member has the role now.' }),
          201: Type.Ref(Member, { description: 'The user is a member now.' }),
          ...callerRefusals(
            'JSON_INVALID',
            'USER_NOT_FOUND',
            'LAST_OWNER',
            'QUOTA_EXCEEDED',
            'BODY_TOO_LARGE',
            'UNSUPPORTED_MEDIA_TYPE',
          ),
        },
      },
    },
    async (request, reply) => {
      const { member, created } = await people.setMember(request.orgId, request.params.user_id, request.body.role)
      app.forgetCaller(member.user_id)
      app.audit(request, 'member.set', { member: member.user_id, role: member.role })
      return reply.code(created ? 201 : 200).send(member)
    },
  )

  app.delete(
    '/orgs/:id/members/:user_id',
    {
      config,
      schema: {
        ...may.own('orgs:write'),
        summary: 'Remove a member',
        tags,
        params: MemberParams,
        response: { 204: Type.Null(), ...callerRefusals('MEMBER_NOT_FOUND', 'LAST_OWNER', 'LAST_MEMBERSHIP') },
      },
    },
    async (request, reply) => {
      await people.removeMember(request.orgId, request.params.user_id)
      app.forgetCaller(request.params.user_id.toLowerCase())
      app.audit(request, 'member.removed', { member: request.params.user_id })
      return reply.code(204).send(null)
    },
  )
}
