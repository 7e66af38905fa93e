import { isUtf8 } from 'node:buffer'
import { type Fault, OrdersError } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/** `plainText`: no control character and no lone surrogate, escaped or not. */
export type JsonLimits = typeof jsonLimits
export const jsonLimits = { depth: 32, keys: 1000, items: 200, stringLength: 2000, digits: 15, plainText: true }

const otherCharset = /;\s*charset\s*=\s*(?!"?utf-?8"?\s*(?:;|$))/i

declare module 'fastify' {
  interface FastifyInstance {
    /** Content types that the routes of this context take. */
    acceptedTypes: string[]
  }
}

/** Takes application/json only, and only JSON whose value is beyond doubt; JSON_INVALID or AMOUNT_INVALID otherwise. */
async function strictJson(app: FastifyInstance) {
  app.decorate('acceptedTypes', ['application/json'])
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      if (otherCharset.test(request.headers['content-type'] ?? '')) {
        throw new OrdersError('UNSUPPORTED_MEDIA_TYPE', 'JSON is sent in UTF-8, whatever charset is asked for.')
      }
      done(null, parseStrictJson(withoutMark(body as Buffer)))
    } catch (error) {
      done(error as Error)
    }
  })
}

export default fp(strictJson, { name: 'strict-json' })

const byteOrderMark = Buffer.from('\ufeff')

/** A parser may ignore a byte-order mark (RFC 8259), which some editors and shells write. */
const withoutMark = (body: Buffer) =>
  body.subarray(0, byteOrderMark.length).equals(byteOrderMark) ? body.subarray(byteOrderMark.length) : body

/**
 * Parses JSON as JSON.parse does, and refuses what that would change or hide: invalid UTF-8, duplicate keys, __proto__,
 * infinite numbers, and what is beyond the limits; by `jsonLimits`, also numbers that a double cannot hold exactly.
 */
export function parseStrictJson(body: Buffer, limits = jsonLimits): unknown {
  if (!isUtf8(body)) throw refuse('The body is not UTF-8.')
  return parseStrictText(body.toString(), limits)
}

/** The same for what is text already. */
export function parseStrictText(text: string, limits = jsonLimits): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw refuse(text.trim() === '' ? 'There is no JSON.' : `This is not JSON: ${(error as SyntaxError).message}.`)
  }
  inspect(text, limits)
  return value
}

const refuse = (message: string, faults?: Fault[]) => new OrdersError('JSON_INVALID', message, faults)

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const control = /[\u0000-\u001f\u007f]/
const whitespace = /[ \t\n\r]*/y
const number = /-?\d+(?:\.(\d+))?(?:[eE][+-]?\d+)?/y

/** Walks the text of valid JSON once, beside the value that JSON.parse made of it. */
function inspect(text: string, limits: JsonLimits): void {
  const path: (string | number)[] = []
  let at = 0
  let keys = 0

  function fault(message: string): OrdersError {
    const pointer = path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
    return refuse(`At ${pointer || '/'}: ${message}.`, [{ path: pointer, message }])
  }

  function space() {
    if (text.charCodeAt(at) > 32) return
    whitespace.lastIndex = at
    whitespace.test(text)
    at = whitespace.lastIndex
  }

  function string(): string {
    const start = at
    let escaped = false
    for (at++; ; at++) {
      const code = text.charCodeAt(at)
      if (code === 92) {
        escaped = true
        at++
      } else if (code === 34) break
    }
    at++
    const token = text.slice(start, at)
    const value = escaped ? (JSON.parse(token) as string) : token.slice(1, -1)
    if (value.length > limits.stringLength) throw fault(`a string has at most ${limits.stringLength} characters`)
    if (limits.plainText && control.test(value)) throw fault('control characters are not allowed')
    if (limits.plainText && escaped && !value.isWellFormed()) throw fault('a lone surrogate is not a character')
    return value
  }

  function object() {
    const seen = new Set<string>()
    at++
    for (space(); text.charCodeAt(at) !== 125; space()) {
      if (text.charCodeAt(at) === 44) at++
      space()
      const key = string()
      path.push(key)
      if (seen.has(key)) throw fault('this key stands twice')
      if (key === '__proto__') throw fault('this key is not allowed')
      if (++keys > limits.keys) throw fault(`there are more than ${limits.keys} keys`)
      seen.add(key)
      space()
      at++ // the colon
      value()
      path.pop()
    }
    at++
  }

  function array() {
    at++
    space()
    for (let index = 0; text.charCodeAt(at) !== 93; index++) {
      path.push(index)
      if (index >= limits.items) throw fault(`an array has at most ${limits.items} items`)
      value()
      space()
      if (text.charCodeAt(at) === 44) at++
      path.pop()
    }
    at++
  }

  function exactNumber() {
    number.lastIndex = at
    const [token = ''] = number.exec(text) ?? []
    at += token.length
    const finite = Number.isFinite(Number(token))
    if (finite && token.length <= limits.digits) return
    const significant = token
      .replace(/[eE].*/, '')
      .replace(/\D/g, '')
      .replace(/^0+/, '')
    if (!finite || significant.length > limits.digits) {
      const error = fault(`a number has at most ${limits.digits} significant digits`)
      throw path.length === 1 && path[0] === 'amount'
        ? new OrdersError('AMOUNT_INVALID', error.message, error.faults)
        : error
    }
  }

  function value() {
    if (path.length > limits.depth) throw fault(`values nest at most ${limits.depth} deep`)
    space()
    const code = text.charCodeAt(at)
    if (code === 34) string()
    else if (code === 123) object()
    else if (code === 91) array()
    else if (code === 45 || (code >= 48 && code <= 57)) exactNumber()
    else at += code === 102 ? 5 : 4 // false, true, null
  }

  value()
}
