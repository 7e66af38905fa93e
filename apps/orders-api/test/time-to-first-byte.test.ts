import { once } from 'node:events'
import http from 'node:http'
import t from 'tap'
import { type Service, startService } from './service.ts'

/** The samples of a metric, by handler and status. */
async function samplesOf({ send }: Service, metric: string): Promise<Record<string, number>> {
  const { text } = await send('GET', '/metrics')
  const lines = text.matchAll(
    new RegExp(`^${metric}\\{method="GET",handler="([^"]+)",status="(\\d+)"\\} (\\S+)$`, 'gm'),
  )
  return Object.fromEntries([...lines].map(([, handler, status, value]) => [`${handler} ${status}`, Number(value)]))
}

async function open({ port }: Service, path: string): Promise<http.IncomingMessage> {
  const [response] = await once(http.get({ port, host: '127.0.0.1', path, agent: false }), 'response')
  await once(response, 'data')
  return response
}

for (const path of ['/api/v1/orders/stream', '/orders/stream', '/ui/orders/stream']) {
  t.test(`counts ${path} at its first byte, and not again at its end`, async (t) => {
    const service = await startService(t)
    const key = `${path} 200`

    const response = await open(service, path)
    const opened = await samplesOf(service, 'http_request_duration_seconds_sum')
    t.equal((await samplesOf(service, 'http_requests_total'))[key], 1, 'while it is open')
    response.destroy()
    while (service.server.orderStream.readers() > 0) await new Promise(setImmediate)
    await service.send('GET', '/orders')

    t.equal((await samplesOf(service, 'http_requests_total'))[key], 1, 'after its end')
    const ended = await samplesOf(service, 'http_request_duration_seconds_sum')
    t.ok((opened[key] as number) > 0)
    t.equal(ended[key], opened[key], 'its life is not counted')
  })
}

t.test('counts a stream that is refused, and an ordinary request once', async (t) => {
  const service = await startService(t)

  t.equal((await service.send('GET', '/orders/stream', { headers: { 'last-event-id': 'x' } })).status, 400)
  t.equal((await service.send('GET', '/orders')).status, 200)

  const counted = await samplesOf(service, 'http_requests_total')
  t.equal(counted['/orders/stream 400'], 1)
  t.equal(counted['/orders 200'], 1)
})
