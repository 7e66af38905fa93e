import type { Registry } from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'
import type { BrokerAddress } from './address.ts'
import type { Broker, Direction } from './broker.ts'
import type { BrokerError } from './error.ts'
import type { Handle } from './receiver.ts'

type Options = {
  address: BrokerAddress
  /** Does what follows from events that the broker brings. */
  handle: Handle
  registry: Registry
  /** Events can be published again. */
  onUp: () => void
  onFailure: (job: 'consume', error: Error) => void
}

const said: Record<Direction, [up: string, down: string]> = {
  publish: ['events go to the broker', 'the broker takes no events: they wait in the database'],
  consume: ['events come from the broker', 'the broker brings no events'],
}

/** Opens the broker when the worker is ready, and closes it with the worker; one line in the log a change of state. */
export async function useBroker(server: FastifyInstance, options: Options): Promise<Broker> {
  // Large libraries, which most processes do without.
  const { createBroker } = await import('./broker.ts')
  const { createBrokerMeters } = await import('./meters.ts')
  const meters = createBrokerMeters(options.registry)
  const onChange = (direction: Direction, why?: BrokerError) => {
    const [up, down] = said[direction]
    meters.onChange(direction, !why)
    if (why) server.log.warn({ err: why }, down)
    else server.log.info(up)
    if (!why && direction === 'publish') options.onUp()
  }
  const broker = createBroker({
    address: options.address,
    handle: options.handle,
    onChange,
    onPublished: meters.onPublished,
    onConsumed: meters.onConsumed,
    onFailure: (error) => options.onFailure('consume', error),
  })
  server.addHook('onReady', async () => broker.open())
  server.addHook('onClose', () => broker.close())
  return broker
}
