import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type ErrorCode, errorCatalogue } from '@orders/schema'
import type { FastifyInstance } from 'fastify'
import { problemOf } from './errors.ts'
import { requestIdOf } from './request-id.ts'

const parserCodes: Record<string, ErrorCode> = {
  HPE_HEADER_OVERFLOW: 'HEADERS_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
}

type ParserError = NodeJS.ErrnoException & { rawPacket?: unknown; bytesParsed?: number }
type Answer = { code: ErrorCode; path: string; allow?: string[] }

/** A request line whose method is a token that the parser does not know (RFC 9110). */
const requestLine = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+ (\/\S*) HTTP\/1\.[01]$/

/** Answers what is not a request at all, before there is a route or a reply. `this` is the service, if it has started. */
export function refuseConnection(
  this: Pick<FastifyInstance, 'methodsAt'> | undefined,
  error: ParserError,
  socket: Duplex,
) {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  // Answered before its body turned out to be broken: a second answer would be taken for that of the next request.
  const { _httpMessage: answer } = socket as Duplex & { _httpMessage?: ServerResponse }
  if (answer?.headersSent) {
    socket.end()
    return
  }
  const { code, path, allow } = (this && unknownMethod(this, error)) ?? {
    code: parserCodes[error.code ?? ''] ?? 'BAD_REQUEST',
    path: '/',
  }
  const { status, title } = errorCatalogue[code]
  const requestId = requestIdOf({ headers: {} })
  const toHead = Buffer.isBuffer(error.rawPacket) && error.rawPacket.toString('latin1', 0, 5) === 'HEAD '
  const body = JSON.stringify(problemOf({ code, message: `${title}.` }, path, requestId))
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json\r\nX-Request-Id: ${requestId}\r\n` +
      `${allow ? `Allow: ${allow.join(', ')}\r\n` : ''}Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${toHead ? '' : body}`,
  )
}

/** Node's parser knows a list of methods; any other one is as wrong at its address as those are. */
function unknownMethod(
  { methodsAt }: Pick<FastifyInstance, 'methodsAt'>,
  { code, rawPacket, bytesParsed = 0 }: ParserError,
): Answer | undefined {
  if (code !== 'HPE_INVALID_METHOD' || !Buffer.isBuffer(rawPacket)) return undefined
  const text = rawPacket.toString('latin1')
  const start = text.lastIndexOf('\n', bytesParsed - 1) + 1
  const [, url] = requestLine.exec(text.slice(start, text.indexOf('\r\n', start))) ?? []
  if (url === undefined) return undefined
  const allow = methodsAt(url)
  const path = url.split('?', 1)[0] ?? '/'
  return allow.length === 0 ? { code: 'NOT_FOUND', path } : { code: 'METHOD_NOT_ALLOWED', path, allow }
}
