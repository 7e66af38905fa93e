import http from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { createScratchDatabase } from '@orders/database/testing'
import Fastify, { type FastifyInstance } from 'fastify'
import { app } from '../src/app.ts'
import { type Config, readConfig } from '../src/config.ts'
import type { LongResponseOptions } from '../src/plugins/long-responses.ts'
import { serverOptions } from '../src/server-options.ts'

/** Names lead to a public address, wherever the tests run. */
export const lookup = async () => ['93.184.215.14']

type Test = { name: string; teardown(fn: () => Promise<void>): void }

export type Answer = {
  status: number
  headers: http.IncomingHttpHeaders
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of the body
  json: any
}

type Request = { headers?: http.OutgoingHttpHeaders; body?: string | Buffer | object }

export type Service = Awaited<ReturnType<typeof startService>>

/** The real service on a free port of its own, with a database of its own; ends with the test. */
export async function startService(
  t: Test,
  settings: Record<string, string> = {},
  {
    edit,
    poolMax,
    ...given
  }: {
    edit?: (options: ReturnType<typeof serverOptions>) => void
    poolMax?: number
    now?: () => number
    patienceMs?: number
    longResponses?: Omit<LongResponseOptions, 'setting'>
    outgoingBounds?: { perProcess: number; perUser: number }
  } = {},
) {
  const { url } = await createScratchDatabase(t)
  // A test sends more in a minute than anybody has room for: those of limits say so.
  const read = readConfig({ DATABASE_URL: url, LOG_LEVEL: 'silent', RATE_LIMITS: 'off', ...settings })
  const config: Config = { ...read, ...(poolMax && { DATABASE_POOL_MAX: poolMax }) }
  const serverConfig = serverOptions(config)
  edit?.(serverConfig)
  const server: FastifyInstance = Fastify(serverConfig)
  await app(server, config, { lookup, ...given })
  await server.ready()
  // Not by Fastify: what it takes for pressure is the test's own load.
  await new Promise<void>((resolve) => server.server.listen(0, '127.0.0.1', resolve))
  const { port } = server.server.address() as AddressInfo
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
  t.teardown(async () => {
    agent.destroy()
    server.server.closeAllConnections()
    await server.close()
  })

  /** Sends one request; an object as body is sent as JSON. */
  function send(method: string, path: string, { headers = {}, body }: Request = {}): Promise<Answer> {
    const isData = typeof body === 'object' && !Buffer.isBuffer(body)
    const payload = isData ? JSON.stringify(body) : body
    const all = {
      ...(isData && { 'content-type': 'application/json' }),
      ...(payload !== undefined && { 'content-length': Buffer.byteLength(payload) }), // Node frames no body of GET or HEAD
      ...headers,
    }
    return new Promise((resolve, reject) => {
      const request = http.request({ agent, host: '127.0.0.1', port, method, path, headers: all }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const isJson = /[/+]json\b/.test(response.headers['content-type'] ?? '') && text !== ''
          const { statusCode: status = 0, headers } = response
          resolve({ status, headers, text, json: isJson ? JSON.parse(text) : undefined })
        })
      })
      request.on('error', reject)
      request.end(payload)
    })
  }

  /** Writes bytes as they are and reads until the server closes: what no HTTP client would send. */
  function sendRaw(bytes: string | Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      const chunks: Buffer[] = []
      socket.on('data', (chunk) => chunks.push(chunk))
      socket.on('error', reject)
      socket.on('close', () => resolve(Buffer.concat(chunks).toString()))
      socket.write(bytes)
    })
  }

  const place = (order: object, headers = {}) => send('POST', '/api/v1/orders', { headers, body: order })

  return { server, port, url, agent, send, sendRaw, place }
}
