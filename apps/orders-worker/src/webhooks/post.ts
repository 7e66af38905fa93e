import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import https from 'node:https'
import { type Destination, pinned } from '@orders/runtime'

const connectMs = 3000
const replyBytes = 4096
const replyHeaderBytes = 8192

/** Tries the next address of a host while one does not answer. */
const everyAddress = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 1000 }

export type Reply = { status: number; headers: IncomingMessage['headers']; reply: string }

type Request = {
  headers: Record<string, string>
  body: string
  signal: AbortSignal
  /** Certificates to trust instead of the usual ones, as PEM. */
  ca?: string | undefined
}

/**
 * Posts to the addresses of `destination` and no others, over a connection of its own that nothing else uses, and reads
 * the first 4 kB of the reply. Follows no redirect, knows no proxy. Rejects if no status came.
 */
export async function post(destination: Destination, { headers, body, signal, ca }: Request): Promise<Reply> {
  const { url } = destination
  const request = (url.protocol === 'https:' ? https : http).request(url, {
    method: 'POST',
    headers,
    signal,
    ca,
    // A shared agent would keep connections and TLS sessions by name, whatever their address was checked for.
    agent: false,
    lookup: pinned(destination),
    ...everyAddress,
    maxHeaderSize: replyHeaderBytes,
    // Said aloud, since NODE_TLS_REJECT_UNAUTHORIZED could say otherwise.
    rejectUnauthorized: true,
  })
  const connecting = setTimeout(() => {
    request.destroy(new Error(`no connection within ${connectMs / 1000} s`))
  }, connectMs)
  const connected = url.protocol === 'https:' ? 'secureConnect' : 'connect'
  request.once('socket', (socket) => socket.once(connected, () => clearTimeout(connecting)))
  try {
    request.end(body)
    const response = await responseTo(request, signal)
    return { status: response.statusCode ?? 0, headers: response.headers, reply: await readText(response) }
  } finally {
    clearTimeout(connecting)
    request.destroy()
  }
}

function responseTo(request: ClientRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  request.on('response', resolve)
  request.on('error', reject)
  request.on('close', () => reject(new Error('the connection ended without a status')))
  // After a 101 the request knows of no end: without this it would be waited for for ever.
  request.on('upgrade', (_response, socket) => {
    socket.destroy()
    reject(new Error('the reply is no HTTP any more'))
  })
  signal.addEventListener('abort', () => reject(signal.reason))
  return promise
}

/** The start of the reply, or what came of it: how the receiver ends it says nothing about the delivery. */
async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of response) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes >= replyBytes) break
    }
  } catch {}
  // PostgreSQL keeps no NUL in a text. What is no UTF-8 grows as it is replaced, and is cut once more.
  const text = decode(Buffer.concat(chunks)).replaceAll('\0', '\uFFFD')
  return decode(Buffer.from(text))
}

/** At most 4 kB of text; a character that the cut has halved goes. */
function decode(bytes: Buffer): string {
  return new TextDecoder().decode(bytes.subarray(0, replyBytes), { stream: true })
}
