import { type Static, Type } from '@sinclair/typebox'

const use = {
  name: Type.String({
    description:
      'orders, metadata-bytes, projects, members, webhooks or import-lines; in the list of /usage also streams or imports.',
  }),
  used: Type.Integer({
    minimum: 0,
    description:
      'Current use. For import-lines: lines imported today (UTC). For metadata-bytes: total bytes of the metadata of all orders, as JSON text with a space after each colon and comma, without the outer braces.',
  }),
  limit: Type.Integer({ minimum: 1, description: 'Maximum use.' }),
}

/** What an organisation uses of one quota. */
export const QuotaUse = Type.Object(use, { $id: 'QuotaUse' })
export type QuotaUse = Static<typeof QuotaUse>

const scopes = ['all_servers', 'this_server'] as const

export const Usage = Type.Object(
  {
    org_id: Type.String(),
    quotas: Type.Array(
      Type.Object({
        ...use,
        scope: Type.Unsafe<(typeof scopes)[number]>({
          type: 'string',
          enum: [...scopes],
          description:
            'all_servers: counted in the database. this_server: counted in the process that answered (streams and imports).',
        }),
      }),
    ),
  },
  { $id: 'Usage' },
)
export type Usage = Static<typeof Usage>
