import type { ColumnType, Generated, GeneratedAlways } from 'kysely'

/** Times come as PostgreSQL's own text in UTC with microseconds, which a cursor needs; amounts as exact decimal text. */
type Time = ColumnType<string, string | undefined, string>

export interface OrdersTable {
  org_id: string
  id: string
  number: GeneratedAlways<number>
  project_id: string | null
  amount: string
  currency: string
  status: Generated<string>
  description: string | null
  metadata: ColumnType<Record<string, string>, string | undefined, string>
  created_at: Time
  updated_at: Time
  version: Generated<number>
}

/** `sequence` is the order's version after the change, and `occurred_at` its `updated_at`. */
export interface OrderEventsTable {
  org_id: string
  order_number: number
  sequence: number
  type: string
  status: string
  description: string | null
  metadata: ColumnType<Record<string, string>, string, never>
  occurred_at: Time
}

export interface OutboxTable {
  id: GeneratedAlways<number>
  org_id: string
  sequence: number
  order_ids: string[]
  events: number
  created_at: Time
}

export interface IdempotencyRecordsTable {
  org_id: string
  route: string
  principal: string
  key: string
  fingerprint: Buffer
  answer: ColumnType<Record<string, unknown> | null, string | null, string>
  created_at: Time
}

export interface OrganisationsTable {
  id: Generated<string>
  name: string
  slug: string
  created_at: Time
  updated_at: Time
}

export interface ProjectsTable extends OrganisationsTable {
  org_id: string
}

export interface UsersTable {
  id: string
  name: string
  home_org_id: string
  created_at: Time
}

export interface MembershipsTable {
  org_id: string
  user_id: string
  role: string
  created_at: Time
  updated_at: Time
}

export interface SessionsTable {
  digest: Buffer
  user_id: string
  chosen_org_id: string | null
  issuer: string | null
  created_at: Time
  expires_at: Time
  ends_at: Time
}

export interface WebhooksTable {
  org_id: string
  id: Generated<string>
  url: string
  description: string | null
  event_types: string[] | null
  signature: string
  key: Buffer
  previous_key: Buffer | null
  previous_key_ends_at: Time | null
  enabled: Generated<boolean>
  disabled_reason: string | null
  disabled_at: Time | null
  first_failure_at: Time | null
  version: Generated<number>
  created_at: Time
  updated_at: Time
}

export interface Tables {
  organisations: OrganisationsTable
  projects: ProjectsTable
  users: UsersTable
  memberships: MembershipsTable
  revoked_tokens: { user_id: string; jti: string; expires_at: Time }
  sessions: SessionsTable
  sign_ins: { digest: Buffer; issuer: string; return_to: string; expires_at: Time }
  orders: OrdersTable
  order_events: OrderEventsTable
  outbox: OutboxTable
  idempotency_records: IdempotencyRecordsTable
  webhooks: WebhooksTable
  service_keys: { name: string; key: Buffer }
  kysely_migration: { name: string }
}

/** The organisation `default`, which the first migration makes. */
export const defaultOrgId = '00000000-0000-7000-8000-000000000000'
