import { once } from 'node:events'
import { Agent, request } from 'node:https'
import type { Context } from './step.ts'

type Answer = { status: number; body: string }
type Request = { method?: string; headers?: Record<string, string>; body?: string; agent?: Agent }

const mostMs = 300_000

/** One request to the service as its users have it, in five minutes at most. */
export async function ask(context: Context, path: string, options: Request = {}): Promise<Answer> {
  const { body, agent = false, ...rest } = options
  const signal = AbortSignal.timeout(mostMs)
  const asking = request(new URL(path, context.address), { ...rest, ca: await context.authority(), agent, signal })
  asking.on('error', () => {}) // whoever reads the answer gets it too
  asking.end(body)
  const [answer] = await once(asking, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk as Buffer)
  return { status: answer.statusCode, body: Buffer.concat(chunks).toString() }
}

/** The headers of a new guest. */
export async function signIn(context: Context): Promise<{ headers: Record<string, string> }> {
  const { status, body } = await ask(context, '/api/v1/auth/guest', { method: 'POST' })
  if (status !== 201) throw new Error(`A guest cannot sign in: ${status} ${body}`)
  return { headers: { authorization: `Bearer ${JSON.parse(body).access_token}` } }
}

/** Lists orders in `clients` loops until it is stopped. */
export async function startLoad(context: Context, clients: number): Promise<{ stop: () => Promise<void> }> {
  const { headers } = await signIn(context)
  const ca = await context.authority()
  const agent = new Agent({ keepAlive: true })
  const known = { ...context, authority: async () => ca }
  let running = true
  const loops = Array.from({ length: clients }, async () => {
    // Load, not a check: a request that fails loads the service as well.
    while (running) await ask(known, '/api/v1/orders', { headers, agent }).catch(() => {})
  })
  return {
    stop: async () => {
      running = false
      await Promise.all(loops)
      agent.destroy()
    },
  }
}
