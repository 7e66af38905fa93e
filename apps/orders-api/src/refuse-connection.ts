import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type ErrorCode, errorCatalogue } from '@orders/schema'
import { problemOf } from './errors.ts'
import { requestIdOf } from './request-id.ts'

const parserCodes: Record<string, ErrorCode> = {
  HPE_HEADER_OVERFLOW: 'HEADERS_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
}

/** Answers what is not a request at all, before there is a route or a reply. */
export function refuseConnection(error: NodeJS.ErrnoException & { rawPacket?: unknown }, socket: Duplex): void {
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
  const code = parserCodes[error.code ?? ''] ?? 'BAD_REQUEST'
  const { status, title } = errorCatalogue[code]
  const requestId = requestIdOf({ headers: {} })
  const toHead = Buffer.isBuffer(error.rawPacket) && error.rawPacket.toString('latin1', 0, 5) === 'HEAD '
  const body = JSON.stringify(problemOf({ code, message: `${title}.` }, '/', requestId))
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json\r\nX-Request-Id: ${requestId}\r\n` +
      'Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${toHead ? '' : body}`,
  )
}
