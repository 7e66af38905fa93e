import { Choice, readSettings, Secret, settingsHelp } from '@orders/runtime'
import { currencyCodes } from '@orders/schema'
import { type Static, Type } from '@sinclair/typebox'
import { concurrencyPattern, defaultConcurrency } from './long-responses/concurrency.ts'
import { defaultQuotaPairs, quotasPattern } from './quotas.ts'
import { figuresPattern } from './rate-limits/figures.ts'

const Port = (description: string, options = {}) =>
  Type.Integer({ minimum: 0, maximum: 65_535, description, ...options })

export const Settings = Type.Object({
  PORT: Port('Port of the API and the pages; 0 takes any free one.', { default: 8000 }),
  HOST: Type.String({ default: 'localhost', description: 'Address to listen on; 0.0.0.0 in a container.' }),
  ADMIN_PORT: Type.Optional(
    Port('Own port for /metrics, which then leaves PORT; without it, /metrics is served only with AUTH_MODE=open.'),
  ),
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
    maximum: 200,
    default: 10,
    description: 'Most connections in the pool of this process; the API opens two more, on which it listens.',
  }),
  DATABASE_WAIT_MS: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    default: 5000,
    description: 'How long to wait at start for a database that does not answer.',
  }),
  AUTH_MODE: Choice(['open', 'required'], {
    default: 'open',
    description:
      'open: a request without a token acts as a member of the organisation default; required: it is rejected.',
  }),
  ALLOWED_HOSTS: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9._:\\[\\]-]+(,[A-Za-z0-9._:\\[\\]-]+)*$',
      examples: ['orders.lan,192.168.1.5'],
      description:
        'Host names that requests may be sent to with AUTH_MODE=open, beside localhost, loopback addresses and that of PUBLIC_URL.',
    }),
  ),
  GUEST_KEYS: Type.Optional(
    Secret({
      description:
        "JSON Web Key Set, or PEM, of private Ed25519 keys for guests' tokens; without it there are no guests.",
    }),
  ),
  OPENID_ISSUERS: Type.Optional(
    Secret({
      description:
        'JSON list of OpenID issuers whose tokens are taken (issuer, audience, algorithms, max_age) and, with a client_id, where users sign in (client_secret, scope, name).',
    }),
  ),
  PUBLIC_URL: Type.Optional(
    Type.String({
      pattern: '^https?://[^\\s/?#@]+$',
      examples: ['https://orders.example.com'],
      description: 'Address that browsers know the pages by, to which an issuer sends them back from a sign-in.',
    }),
  ),
  DEFAULT_CURRENCY: Choice(currencyCodes, { default: 'EUR', description: 'ISO 4217 code of orders that name none.' }),
  LOG_LEVEL: Choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
    default: 'warn',
    description:
      'Least severe log line to write; debug has a line a request. Audit lines are written unless it is silent.',
  }),
  TRUSTED_PROXIES: Type.Optional(
    Type.String({
      pattern: '^[0-9a-fA-F.:/]+(,[0-9a-fA-F.:/]+)*$',
      examples: ['10.0.0.0/8,fd00::/8'],
      description: 'CIDRs of the proxies whose X-Forwarded-For is believed.',
    }),
  ),
  RATE_LIMITS: Type.Optional(
    Type.String({
      pattern: figuresPattern,
      examples: ['on, off, or anonymous=30,guests=5,all-guests=100,writes=120,org-writes=1200'],
      description:
        'on, off, or figures a minute other than anonymous=30,guests=5,all-guests=100,writes=120,org-writes=1200; unset: on if AUTH_MODE is required.',
    }),
  ),
  CONCURRENCY_LIMITS: Type.Optional(
    Type.String({
      pattern: concurrencyPattern,
      examples: ['org-streams=500,user-streams=100'],
      description: `Long responses and scans (statistics, and lists by filters without an index) at a time in this process, by organisation and by user, each at least 1. Those that are left out keep their defaults: ${defaultConcurrency}. A pool of fewer than ten connections allows fewer exports and scans.`,
    }),
  ),
  QUOTAS: Type.Optional(
    Type.String({
      pattern: quotasPattern,
      examples: ['projects=200,webhooks=50'],
      description: `Limits of each organisation. Names that are left out keep their defaults: ${defaultQuotaPairs} (import-lines: on one day, UTC). Each is at least 1.`,
    }),
  ),
  REDIS_URL: Type.Optional(
    Secret({
      pattern: '^rediss?://[^\\s/]+(/[0-9]*)?$',
      examples: ['redis://:password@redis:6379/0'],
      description:
        'redis:// or rediss:// address where all processes count rate limits; without it each counts its own.',
    }),
  ),
  HISTORY_COSMOS_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$',
      examples: ['https://account.documents.azure.com:443/'],
      description:
        'https:// address of the Azure Cosmos DB account where histories are read first; without it, from the database alone.',
    }),
  ),
  HISTORY_COSMOS_DATABASE: Type.String({
    pattern: '^[^/\\\\?#]{1,255}$',
    examples: ['orders'],
    default: 'orders',
    description: 'Database in that account that has the container order-events.',
  }),
  WEBHOOKS_ALLOW_LOOPBACK: Choice(['true', 'false'], {
    default: 'false',
    description: 'true, for development: webhooks may be http addresses of this machine.',
  }),
  DRAIN_DELAY_MS: Type.Integer({
    minimum: 0,
    maximum: 15_000,
    default: 5000,
    description: 'How long to go on serving after SIGTERM, while /readyz says no.',
  }),
  ORDERS_COMMIT: Type.String({ default: 'unknown', description: 'Commit of the sources, told by /version.' }),
  ORDERS_IMAGE_DIGEST: Type.Optional(Type.String({ description: 'Digest of the image, told by /version.' })),
})

export type Config = Readonly<Static<typeof Settings>>

/** Throws a SettingsError that names every fault. */
export const readConfig = (env = process.env): Config => readSettings(Settings, env)

export const help = `Serves the orders API and its pages.

Usage: node src/server.ts [--help]

Settings, from the environment:
${settingsHelp(Settings)}`
