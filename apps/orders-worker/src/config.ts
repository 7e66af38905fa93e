import { Choice, readSettings, Secret, settingsHelp } from '@orders/runtime'
import { type Static, Type } from '@sinclair/typebox'

export const Settings = Type.Object({
  DATABASE_URL: Secret({
    pattern: '^postgres(?:ql)?://\\S+$',
    examples: ['postgresql://user:password@host:5432/orders'],
    description: 'postgresql:// address of the database.',
  }),
  CONTEXT_KEY: Type.Optional(
    Secret({
      pattern: '^[\\s\\S]{32,}$',
      examples: ['at least 32 random characters'],
      description:
        'Secret of at least 32 characters that signs which organisation a transaction may access. The API, the worker and database:migrate need the same value. If unset, all three derive it from the password of DATABASE_URL, which must then be the same and have at least 32 characters.',
    }),
  ),
  DATABASE_POOL_MAX: Type.Integer({
    minimum: 2,
    maximum: 100,
    default: 5,
    description:
      'Maximum connections of this process for each of its two roles. The job that counts older orders uses one more.',
  }),
  DATABASE_WAIT_MS: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 5000,
    description: 'How long to wait at start for a database that does not answer.',
  }),
  EVENTS_BROKER: Secret({
    default: 'none',
    description:
      'amqp:// or amqps:// address of an AMQP 1.0 broker that events go through; none: the worker handles them itself.',
  }),
  EVENTS_PER_SECOND: Type.Integer({
    minimum: 10,
    maximum: 1_000_000,
    default: 5100,
    description:
      'Events that leave the outbox in a second at most: the fewer, the less a backlog slows those who place orders.',
  }),
  GUESTS_KEPT_DAYS: Type.Integer({
    minimum: 1,
    maximum: 3650,
    default: 30,
    description:
      "Days after the end of a guest's token (24 hours after the sign-up) until the worker deletes the guest, and the organisations whose members are all such guests.",
  }),
  WEBHOOKS_ALLOW_LOOPBACK: Choice(['true', 'false'], {
    default: 'false',
    description: 'true, for development: webhooks may be http addresses of this machine.',
  }),
  ADMIN_PORT: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 65_535,
      description: 'Port for /livez, /readyz and /metrics; without it nothing is served.',
    }),
  ),
  HISTORY_COSMOS_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$',
      examples: ['https://account.documents.azure.com:443/'],
      description:
        'https:// address of the Azure Cosmos DB account that gets a copy of every event; without it there is none.',
    }),
  ),
  HISTORY_COSMOS_DATABASE: Type.String({
    pattern: '^[^/\\\\?#]{1,255}$',
    examples: ['orders'],
    default: 'orders',
    description: 'Database in that account that has the container order-events.',
  }),
  LOG_LEVEL: Choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
    default: 'warn',
    description: 'Least severe log line to write.',
  }),
})

export type Config = Readonly<Static<typeof Settings>>

/** Throws a SettingsError that names every fault. */
export const readConfig = (env = process.env): Config => readSettings(Settings, env)

export const help = `Hands the events of orders on, and does what follows from them.

Usage: node src/worker.ts [--help]

Settings, from the environment:
${settingsHelp(Settings)}`
