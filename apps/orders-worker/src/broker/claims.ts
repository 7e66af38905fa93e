import { once } from 'node:events'
import type { AccessToken } from '@azure/identity'
import type { Connection, EventContext } from 'rhea'
import { BrokerError } from './error.ts'

/** Fetches a token of the process's cloud identity for a scope. */
export type GetToken = (scope: string) => Promise<AccessToken>

const scope = 'https://servicebus.azure.net/.default'
const node = '$cbs'
const replies = 'orders-worker-claims'

/**
 * Shows a token before links to the queue may be opened, and a new one when three quarters of its time are over: claims-
 * based security, as of Azure Service Bus. `onFailure` hears that a later one was refused. Returns how to stop.
 */
export async function showClaims(
  connection: Connection,
  audience: string,
  getToken: GetToken,
  onFailure: (error: Error) => void,
): Promise<() => void> {
  let timer: NodeJS.Timeout
  let stopped = false
  async function show(): Promise<void> {
    const { token, expiresOnTimestamp } = await getToken(scope)
    if (stopped) return
    await putToken(connection, audience, token)
    const leftMs = Math.max(1000, expiresOnTimestamp - (performance.timeOrigin + performance.now()))
    if (!stopped) timer = setTimeout(() => show().catch(onFailure), leftMs * 0.75)
  }
  const stop = () => {
    stopped = true
    clearTimeout(timer)
  }
  await show()
  return stop
}

/** Sends one request to the node of claims, over links of its own, and waits for what it says. */
async function putToken(connection: Connection, audience: string, token: string): Promise<void> {
  // In a session of their own: that they end must not count as the end of the connection.
  const session = connection.create_session()
  session.on('session_close', () => {})
  session.open()
  const receiver = session.open_receiver({ source: { address: node }, target: { address: replies } })
  const sender = session.open_sender({ target: { address: node } })
  for (const link of [receiver, sender]) link.on('receiver_close', () => {}).on('sender_close', () => {})
  await once(sender, 'sendable')
  sender.send({
    message_id: '1',
    reply_to: replies,
    application_properties: { operation: 'put-token', type: 'jwt', name: audience },
    body: token,
  })
  const [{ message }] = (await once(receiver, 'message')) as [EventContext]
  const { 'status-code': status, 'status-description': description } = message?.application_properties ?? {}
  if (status < 200 || status > 299 || status === undefined) {
    throw new BrokerError(`the broker refuses the identity: ${description ?? status}`)
  }
  session.close()
}

/** Tokens of the identity of this process in Azure: a workload's, a managed one, or who is signed in on a laptop. */
export async function azureTokens(): Promise<GetToken> {
  // A large library, which most processes do without.
  const { DefaultAzureCredential } = await import('@azure/identity')
  const credential = new DefaultAzureCredential()
  return (wanted) => credential.getToken(wanted)
}
