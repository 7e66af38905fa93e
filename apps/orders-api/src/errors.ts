import { BusyError, isUnavailable, NotDurableError } from '@orders/database'
import { type Fault, OrdersError, QuotaExceeded } from '@orders/orders'
import {
  type ErrorCode,
  errorCatalogue,
  instantPattern,
  type Problem,
  type QuotaUse,
  uuidPattern,
} from '@orders/schema'
import type { FastifyError, FastifySchemaValidationError } from 'fastify'

export type Refusal = { code: ErrorCode; message: string; faults?: Fault[] | undefined; quota?: QuotaUse | undefined }

// What Fastify and its plugins refuse by themselves.
const frameworkCodes: Record<string, ErrorCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'BAD_REQUEST',
  FST_ERR_CTP_BODY_TOO_LARGE: 'BODY_TOO_LARGE',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'JSON_INVALID',
  FST_ERR_CTP_INVALID_JSON_BODY: 'JSON_INVALID',
  FST_ERR_BAD_URL: 'BAD_REQUEST',
  FST_ERR_MAX_PARAM_LENGTH: 'URI_TOO_LONG',
  FST_ERR_HANDLER_TIMEOUT: 'TIMED_OUT',
  FST_UNDER_PRESSURE: 'OVERLOADED',
}

/** What a client is told of an error; undefined if it is ours, and the client learns only that something went wrong. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof QuotaExceeded) return { code: error.code, message: error.message, quota: error.quota }
  if (error instanceof OrdersError) return { code: error.code, message: error.message, faults: error.faults }
  const { code, message, statusCode, validation, validationContext } = error as FastifyError
  if (validation) return validationRefusal(validation, validationContext)
  const known = frameworkCodes[code]
  if (known) return { code: known, message: known === 'OVERLOADED' ? errorCatalogue.OVERLOADED.title : message }
  if (statusCode === 403 || statusCode === 404) return { code: 'NOT_FOUND', message: 'There is nothing here.' }
  if (statusCode && statusCode >= 400 && statusCode < 500) {
    return { code: 'BAD_REQUEST', message: `${errorCatalogue.BAD_REQUEST.title}.` }
  }
  if (error instanceof NotDurableError) {
    return {
      code: 'DURABILITY_LOST',
      message: 'A crash of the database could undo a write at present: nothing was changed.',
    }
  }
  if (error instanceof BusyError) return { code: 'OVERLOADED', message: error.message }
  if (isUnavailable(error)) return { code: 'DATABASE_UNAVAILABLE', message: 'The database does not answer at present.' }
  return undefined
}

function validationRefusal(validation: FastifySchemaValidationError[], context = 'body'): Refusal {
  const faults = validation.map(({ instancePath, keyword, params, message = 'is not valid' }) => {
    const property = params.missingProperty ?? params.additionalProperty
    return {
      path: property === undefined ? instancePath : `${instancePath}/${property}`,
      message:
        keyword === 'enum' && listed(params).length > 9 ? 'must be a known code' : plain(keyword, message, params),
    }
  })
  const [first] = faults
  const code =
    context === 'headers' && first?.path === '/idempotency-key' ? 'IDEMPOTENCY_KEY_INVALID' : 'VALIDATION_FAILED'
  const where = context === 'body' ? 'the body' : context === 'params' ? 'the address' : `the ${context}`
  return { code, message: `In ${where}, ${first?.path || '/'} ${first?.message}.`, faults }
}

const listed = (params: Record<string, unknown>) => (params.allowedValues as unknown[]) ?? []

const formatMessages: Record<string, string> = {
  uuid: 'must be a UUID, such as 01234567-89ab-7cde-8f01-23456789abcd',
  [uuidPattern]: 'must be a UUID, such as 01234567-89ab-7cde-8f01-23456789abcd',
  'date-time': 'must be a date and time of RFC 3339, such as 2026-01-31T12:00:00Z',
  [instantPattern]: 'must be a date and time of RFC 3339, such as 2026-01-31T12:00:00Z',
}

function plain(keyword: string, message: string, params: Record<string, unknown>): string {
  if (keyword === 'required') return 'is missing'
  if (keyword === 'additionalProperties') return 'is not known here'
  if (keyword === 'enum') return `must be one of ${listed(params).join(', ')}`
  return formatMessages[String(params.format ?? params.pattern)] ?? message
}

export function problemOf({ code, message, faults, quota }: Refusal, instance: string, requestId: string): Problem {
  const { status, title } = errorCatalogue[code]
  return {
    type: `/errors/${code}`,
    title,
    status,
    detail: message,
    instance,
    request_id: requestId,
    error: code,
    message,
    ...(faults && { errors: faults }),
    ...(quota && { quota }),
  }
}
