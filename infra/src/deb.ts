/** Builds the Debian package of the service out of the last commit, with its Node.js and its PostgreSQL. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { capture, main, run } from './command.ts'
import { buildArguments } from './image.ts'
import { stage } from './stage.ts'

const root = join(import.meta.dirname, '../..')
const packaging = join(root, 'infra/packaging')
const units = ['orders.service', 'orders-worker.service', 'orders-database.service', 'orders-migrate.service']

/** Writes the package to `folder` and answers its path. Needs dpkg-deb, git, npm and its registry. */
export function buildDeb(arch: 'amd64' | 'arm64', folder: string): string {
  const { VERSION = '', COMMIT = '', SOURCE_DATE_EPOCH = '' } = buildArguments()
  // Sorts by time, so that a later commit is an upgrade.
  const version = `${VERSION}+${capture('git', ['log', '-1', '--format=%cd', '--date=format-local:%Y%m%d%H%M%S'], { cwd: root, env: { ...process.env, TZ: 'UTC' } })}.${COMMIT.slice(0, 7)}`
  const work = mkdtempSync(join(tmpdir(), 'orders-deb-'))
  try {
    const source = join(work, 'source')
    mkdirSync(source)
    execFileSync('tar', ['-x', '-C', source], {
      input: execFileSync('git', ['archive', 'HEAD'], { cwd: root, maxBuffer: 2 ** 30 }),
    })
    const tree = join(work, 'tree')
    const application = join(tree, 'opt/orders')
    const epoch = Number(SOURCE_DATE_EPOCH)
    stage({
      root: source,
      apps: ['orders-api', 'orders-worker'],
      arch: arch === 'amd64' ? 'x64' : 'arm64',
      to: application,
      epoch,
      postgres: true,
    })
    writeMachineFiles(tree, COMMIT)
    writeControl(tree, { arch, version })
    mkdirSync(folder, { recursive: true })
    const file = join(folder, `orders_${version}_${arch}.deb`)
    const options = ['--root-owner-group', '--uniform-compression', '-Zxz', '-z1', '--build', tree, `${file}.new`]
    run('dpkg-deb', options, { env: { ...process.env, SOURCE_DATE_EPOCH } })
    renameSync(`${file}.new`, file)
    return file
  } finally {
    rmSync(work, { recursive: true })
  }
}

function writeMachineFiles(tree: string, commit: string): void {
  const hardening = readFileSync(join(packaging, 'hardening.conf'), 'utf8')
  const put = (path: string, text: string, mode = 0o644) => {
    mkdirSync(join(tree, path, '..'), { recursive: true })
    writeFileSync(join(tree, path), text)
    chmodSync(join(tree, path), mode)
  }
  for (const unit of units) {
    const text = readFileSync(join(packaging, unit), 'utf8').replace('@hardening@', hardening)
    put(`lib/systemd/system/${unit}`, unit === 'orders.service' ? withCommit(text, commit) : text)
  }
  // Only systemd reads it, as root: it may hold a password.
  put('etc/orders/orders.env', readFileSync(join(packaging, 'orders.env'), 'utf8'), 0o600)
  for (const file of ['copyright', 'README.md']) {
    put(`usr/share/doc/orders/${file}`, readFileSync(join(packaging, file), 'utf8'))
  }
}

function withCommit(unit: string, commit: string): string {
  return unit.replace('EnvironmentFile=', `Environment=ORDERS_COMMIT=${commit}\nEnvironmentFile=`)
}

function writeControl(tree: string, { arch, version }: { arch: string; version: string }): void {
  const control = join(tree, 'DEBIAN')
  mkdirSync(control, { mode: 0o755 })
  for (const script of ['postinst', 'prerm', 'postrm']) {
    cpSync(join(packaging, script), join(control, script))
    chmodSync(join(control, script), 0o755)
  }
  writeFileSync(join(control, 'conffiles'), '/etc/orders/orders.env\n')
  const fields = {
    Package: 'orders',
    Version: version,
    Architecture: arch,
    Maintainer: 'Orders <orders@example.com>',
    Section: 'net',
    Priority: 'optional',
    Depends: 'adduser, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 8), tzdata',
    'Installed-Size': String(kilobytes(tree)),
    Description: [
      'HTTP service that keeps orders',
      ' A JSON API, pages to place and follow orders by hand, and the PostgreSQL behind',
      ' them. Brings its own Node.js and PostgreSQL.',
    ].join('\n'),
  }
  writeFileSync(
    join(control, 'control'),
    Object.entries(fields)
      .map(([name, value]) => `${name}: ${value}\n`)
      .join(''),
  )
}

function kilobytes(tree: string): number {
  const parts = readdirSync(tree).filter((name) => name !== 'DEBIAN')
  const lines = capture('du', ['-sk', '--apparent-size', ...parts], { cwd: tree }).split('\n')
  return lines.reduce((sum, line) => sum + Number.parseInt(line, 10), 0)
}

if (import.meta.main) {
  await main(() => {
    const { values } = parseArgs({
      options: {
        arch: { type: 'string', default: process.arch === 'arm64' ? 'arm64' : 'amd64' },
        to: { type: 'string', default: join(root, 'apps/orders-api/.data') },
      },
    })
    const { arch } = values
    if (arch !== 'amd64' && arch !== 'arm64') throw new Error(`There is no package for ${arch}: use amd64 or arm64.`)
    const file = buildDeb(arch, values.to)
    console.log(`Built ${file}, ${(Number(capture('stat', ['--format=%s', file])) / 1e6).toFixed(0)} MB.`)
  })
}
