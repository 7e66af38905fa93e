import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'

const folder = join(import.meta.dirname, '../compose')
const root = join(import.meta.dirname, '../..')

type Service = {
  image: string
  build?: { context: string; dockerfile: string; target: string }
  command?: string[]
  environment?: Record<string, string>
  volumes?: string[]
  ports?: string[]
  user?: string
  read_only?: boolean
  cap_drop?: string[]
}
const text = readFileSync(join(folder, 'compose.yaml'), 'utf8')
const { services } = parse(text, { merge: true }) as { services: Record<string, Service> }
const all = Object.entries(services)

t.test('every image of others is pinned, ours is built from the one Dockerfile', async (t) => {
  for (const [name, { image, build }] of all) {
    if (build === undefined) {
      t.match(image, /^docker\.io\/[a-z/]+:[\w.-]+@sha256:[0-9a-f]{64}$/, name)
      continue
    }
    t.equal(join(folder, build.context), root)
    const dockerfile = readFileSync(join(root, build.dockerfile), 'utf8')
    t.match(dockerfile, new RegExp(`^FROM .+ AS ${build.target}$`, 'm'), name)
  }
})

t.test('every file that a container is given exists, and so does every command of ours', async (t) => {
  for (const [name, { volumes = [], build, command = [] }] of all) {
    for (const [source = ''] of volumes
      .map((volume) => volume.split(':'))
      .filter(([source]) => source?.startsWith('.'))) {
      t.ok(existsSync(join(folder, source)), `${name}: ${source}`)
    }
    if (build && command[0]) t.ok(existsSync(join(root, command[0])), `${name}: ${command[0]}`)
  }
})

t.test('our containers are confined, and nothing can be reached from another machine', async (t) => {
  for (const [name, { ports = [], build, user, read_only, cap_drop }] of all) {
    for (const port of ports) t.match(port, /^127\.0\.0\.1:/, name)
    if (build)
      t.strictSame({ user, read_only, cap_drop }, { user: '10001:10001', read_only: true, cap_drop: ['ALL'] }, name)
  }
})

t.test('every variable of a process is a setting that it reads', async (t) => {
  const programs = { api: 'apps/orders-api/src/server.ts', worker: 'apps/orders-worker/src/worker.ts' }
  for (const [service, program] of Object.entries(programs)) {
    const help = execFileSync(process.execPath, [program, '--help'], { cwd: root, encoding: 'utf8' })
    const known = [...help.matchAll(/^ {2}([A-Z_]+)(?:, ([A-Z_]+))?/gm)].flatMap(([, ...names]) => names)
    const given = Object.keys(services[service]?.environment ?? {})
    t.ok(known.includes('DATABASE_URL') && given.includes('DATABASE_URL'), service)
    for (const name of given) t.ok(known.includes(name) || name === 'NODE_OPTIONS', `${service}: ${name}`)
  }
})
