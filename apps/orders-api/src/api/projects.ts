import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { NameAndSlug, PageQuery, Project, ProjectPage, Uuid } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import { may } from '../access/rules.ts'
import { IdempotencyHeaders, onceOf, sendMade } from './idempotency.ts'
import { callerRefusals, keyRefusals } from './refusals.ts'

const OrgParams = Type.Object({ org_id: Uuid })
const ProjectParams = Type.Object({ id: Uuid })
const bodyRefusals = [
  'JSON_INVALID',
  'BODY_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'INVALID_PROJECT_SLUG',
  'SLUG_TAKEN',
] as const
const location = '/api/v1/projects/'
const tags = ['people']

/** Projects, which orders may name. */
export const projectRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { people } = app

  app.post(
    '/orgs/:org_id/projects',
    {
      bodyLimit: 4096,
      config: { orgParam: 'org_id' },
      schema: {
        ...may.write('orgs:write'),
        summary: 'Make a project',
        tags,
        params: OrgParams,
        headers: IdempotencyHeaders,
        body: Type.Ref(NameAndSlug),
        response: { 201: Type.Ref(Project), ...callerRefusals(...bodyRefusals, ...keyRefusals, 'QUOTA_EXCEEDED') },
      },
    },
    async (request, reply) => {
      const once = onceOf<Project>(request, 'POST /projects', location)
      return sendMade(reply, location, await people.createProject(request.orgId, request.body, once)) as never
    },
  )

  app.get(
    '/orgs/:org_id/projects',
    {
      config: { orgParam: 'org_id' },
      schema: {
        ...may.read(),
        summary: 'List the projects of an organisation, newest first',
        tags,
        params: OrgParams,
        querystring: PageQuery,
        response: { 200: Type.Ref(ProjectPage), ...callerRefusals('CURSOR_INVALID') },
      },
    },
    (request) => people.listProjects(request.orgId, request.query),
  )

  app.get(
    '/projects/:id',
    {
      schema: {
        ...may.read(),
        summary: 'Read a project',
        tags,
        params: ProjectParams,
        response: { 200: Type.Ref(Project), ...callerRefusals('PROJECT_NOT_FOUND') },
      },
    },
    (request) => people.getProject(request.orgId, request.params.id),
  )

  app.put(
    '/projects/:id',
    {
      bodyLimit: 4096,
      schema: {
        ...may.write('orgs:write'),
        summary: 'Give a project another name and slug',
        tags,
        params: ProjectParams,
        body: Type.Ref(NameAndSlug),
        response: { 200: Type.Ref(Project), ...callerRefusals('PROJECT_NOT_FOUND', ...bodyRefusals) },
      },
    },
    (request) => people.replaceProject(request.orgId, request.params.id, request.body),
  )

  app.delete(
    '/projects/:id',
    {
      schema: {
        ...may.write('orgs:write'),
        summary: 'Delete a project that has no orders',
        tags,
        params: ProjectParams,
        response: { 204: Type.Null(), ...callerRefusals('PROJECT_NOT_FOUND', 'PROJECT_IN_USE') },
      },
    },
    async (request, reply) => {
      await people.removeProject(request.orgId, request.params.id)
      return reply.code(204).send(null)
    },
  )
}
