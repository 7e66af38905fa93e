import type { Server } from 'node:http'
import { isIP } from 'node:net'
import { compile } from '@fastify/proxy-addr'
import { type FastifyHttpOptions, LogController } from 'fastify'
import type { Config } from './config.ts'
import { limits } from './limits.ts'
import { answerHeaders } from './plugins/http-hygiene.ts'
import { sendProblem, toldOf } from './plugins/problems.ts'
import { refuseConnection } from './refuse-connection.ts'
import { requestIdOf } from './request-id.ts'
import { buildSerializer } from './serializers.ts'

export function serverOptions(config: Config): FastifyHttpOptions<Server> {
  const logsRequests = /^(debug|trace)$/.test(config.LOG_LEVEL)
  return {
    // Not pino's own destination: it would try for ever, on exit, to write to a pipe whose reader is gone.
    logger: { level: config.LOG_LEVEL, stream: process.stdout },
    logController: new LogController({ disableRequestLogging: !logsRequests }),
    // A logger a request, which is made even if it writes nothing, costs more than finding the request id when it does.
    ...(!logsRequests && { childLoggerFactory: (logger) => logger }),
    genReqId: requestIdOf,
    requestIdHeader: false,
    trustProxy: readProxies(config.TRUSTED_PROXIES),
    requestTimeout: limits.requestTimeout,
    connectionTimeout: limits.connectionTimeout,
    keepAliveTimeout: limits.keepAliveTimeout,
    maxRequestsPerSocket: 0, // http-hygiene counts: Node would answer pipelined requests beyond it with a bare 503
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
    schemaController: { compilersFactory: { buildSerializer } },
    clientErrorHandler: refuseConnection,
    // Addresses that cannot be decoded meet no hook.
    frameworkErrors: (error, request, reply) => {
      reply.headers({ ...answerHeaders(config.ORDERS_COMMIT), 'x-request-id': request.id })
      sendProblem(request, reply, toldOf(error, request))
    },
  }
}

/** The addresses and CIDRs of TRUSTED_PROXIES. Throws an Error that names what is none of them. */
function readProxies(setting: string | undefined): string[] | false {
  if (setting === undefined) return false
  const proxies = setting.split(',')
  for (const proxy of proxies) {
    if (isProxy(proxy)) continue
    throw new Error(`TRUSTED_PROXIES has "${proxy}": write addresses and CIDRs of your proxies, such as 10.0.0.0/8.`)
  }
  return proxies
}

/** Fastify reads short forms differently from people: 10/8 is 0.0.0.10/8 to it, and 010.0.0.0 is 8.0.0.0. */
function isProxy(proxy: string): boolean {
  try {
    compile(proxy)
    return isIP(proxy.split('/', 1)[0] ?? '') !== 0
  } catch {
    return false
  }
}
