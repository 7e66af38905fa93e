/** The image of the project, from the files that its Dockerfile stages too. */
import { join } from 'node:path'
import { execute } from '../../tools/cache.ts'
import type { Image } from './build.ts'
import { debianLayer } from './root-file-system.ts'

const packages = ['base-files', 'netbase', 'tzdata', 'libc6', 'libgcc-s1', 'libstdc++6', 'ca-certificates']

/** Writes the files of the service, which several releases can share, to a folder. Needs npm and its registry. */
export async function stageOrders(checkout: string, to: string): Promise<void> {
  const apps = ['orders-api', 'orders-worker'].flatMap((app) => ['--app', app])
  const script = join(checkout, 'infra/src/stage.ts')
  await execute('The service was not staged.', process.execPath, [script, ...apps, '--to', join(to, 'opt/orders')])
}

/** An image of staged files. Two images with different commits share every layer. */
export const ordersImage = (name: string, commit: string, fill: Image['fill']): Image => ({
  name,
  config: {
    User: '10001:10001',
    Entrypoint: ['node'],
    Cmd: ['apps/orders-api/src/server.ts'],
    WorkingDir: '/opt/orders',
    Env: ['PATH=/opt/orders/bin:/usr/local/bin:/usr/bin:/bin', 'HOST=0.0.0.0', `ORDERS_COMMIT=${commit}`],
  },
  below: async () => [await debianLayer(packages, 'extract')],
  fill,
})
