import { type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type ErrorCode, errorCatalogue } from '@orders/schema'
import { type FastifyHttpOptions, LogController } from 'fastify'
import type { Config } from './config.ts'
import { problemOf } from './errors.ts'
import { answerHeaders } from './plugins/http-hygiene.ts'
import { sendProblem, toldOf } from './plugins/problems.ts'
import { requestIdOf } from './request-id.ts'

/** Limits of the HTTP server, in milliseconds and bytes; none of Node's or Fastify's defaults bounds a slow client. */
export const limits = {
  headersTimeout: 5000,
  /** A whole request. Streams of an import may take longer; every other body is given bodyTimeout. */
  requestTimeout: 3_600_000,
  bodyTimeout: 10_000,
  /** Without a byte either way. */
  connectionTimeout: 15_000,
  /** Of imports and exports, whose readers may be busy with what they have got. */
  readerTimeout: 60_000,
  /** Of every route but those that keep time by themselves: Fastify's timer costs 4 % of a small request (measured). */
  handlerTimeout: 8000,
  keepAliveTimeout: 72_000, // longer than a load balancer's 60 s, so that it is never us who closes first
  maxHeaderSize: 8192,
  bodyLimit: 65_536,
}

export function serverOptions(config: Config): FastifyHttpOptions<Server> {
  return {
    logger: { level: config.LOG_LEVEL },
    logController: new LogController({ disableRequestLogging: !/^(debug|trace)$/.test(config.LOG_LEVEL) }),
    genReqId: requestIdOf,
    requestIdHeader: false,
    trustProxy: config.TRUSTED_PROXIES?.split(',') ?? false,
    requestTimeout: limits.requestTimeout,
    connectionTimeout: limits.connectionTimeout,
    keepAliveTimeout: limits.keepAliveTimeout,
    maxRequestsPerSocket: 1000,
    bodyLimit: limits.bodyLimit,
    routerOptions: { maxParamLength: 100 },
    http: {
      headersTimeout: limits.headersTimeout,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: limits.maxHeaderSize,
      requireHostHeader: false, // refused as a problem document instead
    },
    return503OnClosing: false,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, allErrors: false } },
    clientErrorHandler: refuseConnection,
    // Addresses that cannot be decoded meet no hook.
    frameworkErrors: (error, request, reply) => {
      reply.headers({ ...answerHeaders(config.ORDERS_COMMIT), 'x-request-id': request.id })
      sendProblem(request, reply, toldOf(error, request))
    },
  }
}

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
