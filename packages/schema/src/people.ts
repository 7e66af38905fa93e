import { type Static, type TSchema, Type } from '@sinclair/typebox'

export const roles = ['owner', 'member', 'viewer'] as const
export type Role = (typeof roles)[number]

export const scopes = ['orders:read', 'orders:write', 'orgs:write', 'configs:write'] as const
export type Scope = (typeof scopes)[number]

const timestamp = { description: 'RFC 3339, UTC, milliseconds, by the database clock.' }
const name = Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]*$' })

export const Role = Type.Unsafe<Role>({ type: 'string', enum: [...roles] })

const named = {
  id: Type.String(),
  name: Type.String(),
  slug: Type.String({ description: 'A short name for addresses.' }),
  created_at: Type.String(timestamp),
  updated_at: Type.String(timestamp),
}

/** The organisation's slug is one for all, the project's one for its organisation. */
export const Organisation = Type.Object(named, { $id: 'Organisation' })
export type Organisation = Static<typeof Organisation>

export const Project = Type.Object(
  {
    id: named.id,
    org_id: Type.String(),
    name: named.name,
    slug: named.slug,
    created_at: named.created_at,
    updated_at: named.updated_at,
  },
  { $id: 'Project' },
)
export type Project = Static<typeof Project>

/** What makes, and what replaces, an organisation or a project. */
export const NameAndSlug = Type.Object(
  { name, slug: Type.String({ maxLength: 200, description: '1 to 63 of a-z, 0-9 and -.' }) },
  { $id: 'NameAndSlug', additionalProperties: false },
)
export type NameAndSlug = Static<typeof NameAndSlug>

export const User = Type.Object({ id: Type.String(), name: Type.String() }, { $id: 'User' })
export type User = Static<typeof User>

export const Member = Type.Object(
  {
    user_id: Type.String(),
    name: Type.String(),
    role: Role,
    created_at: named.created_at,
    updated_at: named.updated_at,
  },
  { $id: 'Member' },
)
export type Member = Static<typeof Member>

export const NewRole = Type.Object({ role: Role }, { $id: 'NewRole', additionalProperties: false })
export type NewRole = Static<typeof NewRole>

export const OwnOrganisation = Type.Object({ ...named, role: Role }, { $id: 'OwnOrganisation' })
export type OwnOrganisation = Static<typeof OwnOrganisation>

export const Me = Type.Object(
  {
    user: Type.Union([Type.Ref(User), Type.Null()], { description: 'null without a token.' }),
    org_id: Type.Union([Type.String(), Type.Null()], {
      description: 'The organisation that this request acts in; null for a user who has none.',
    }),
    role: Type.Unsafe<Role | null>({ type: ['string', 'null'], enum: [...roles, null] }),
    scopes: Type.Array(Type.String()),
    organisations: Type.Array(Type.Ref(OwnOrganisation)),
  },
  { $id: 'Me' },
)
export type Me = Static<typeof Me>

export const GuestSignIn = Type.Object(
  {
    access_token: Type.String({ description: 'Send it as Authorization: Bearer.' }),
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ description: 'Seconds.' }),
    user: Type.Ref(User),
    org: Type.Ref(Organisation),
  },
  { $id: 'GuestSignIn' },
)
export type GuestSignIn = Static<typeof GuestSignIn>

const PageOf = <T extends TSchema>(item: T, $id: string) =>
  Type.Object({ data: Type.Array(item), next_cursor: Type.Union([Type.String(), Type.Null()]) }, { $id })

export const OrganisationPage = PageOf(Type.Ref(Organisation), 'OrganisationPage')
export type OrganisationPage = Static<typeof OrganisationPage>
export const ProjectPage = PageOf(Type.Ref(Project), 'ProjectPage')
export type ProjectPage = Static<typeof ProjectPage>
export const MemberPage = PageOf(Type.Ref(Member), 'MemberPage')
export type MemberPage = Static<typeof MemberPage>

export const PageQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, default: 50, description: 'Page size; more than 200 is taken as 200.' }),
    cursor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 400, description: '`next_cursor` of the page before.' }),
    ),
  },
  { additionalProperties: false },
)
export type PageQuery = Static<typeof PageQuery>
