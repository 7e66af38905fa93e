import { Type } from '@sinclair/typebox'

/** RFC 9562 in either case. Validators' own `uuid` accepts `urn:uuid:` too, which PostgreSQL does not. */
export const uuidPattern = '^[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$'

/** RFC 3339 with `T`, seconds and an offset with a colon. Validators' own `date-time` accepts other spellings too. */
export const instantPattern =
  '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})$'

export const Uuid = Type.String({ format: 'uuid', pattern: uuidPattern })

export const Instant = (description: string) =>
  Type.String({ format: 'date-time', pattern: instantPattern, maxLength: 64, description })

const uuid = new RegExp(uuidPattern)

export const isUuid = (value: unknown): value is string => typeof value === 'string' && uuid.test(value)
