/** Builds the image of one process out of the last commit; what is not committed is not in it. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { capture, main } from './command.ts'

const root = join(import.meta.dirname, '../..')

/** What tells one build from another; the same for one commit, so that two builds can be compared. */
export function buildArguments(commit = 'HEAD'): Record<string, string> {
  const [hash = '', seconds = ''] = capture('git', ['log', '-1', '--format=%H %ct', commit], { cwd: root }).split(' ')
  return {
    VERSION: JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
    COMMIT: hash,
    CREATED: new Date(Number(seconds) * 1000).toISOString().replace('.000Z', 'Z'),
    SOURCE_DATE_EPOCH: seconds,
  }
}

/** Builds `target` and answers the image's name. `options` go to `docker build` as they are. */
export function buildImage(target: string, options: string[] = []): string {
  const given = buildArguments()
  const name = `${target}:${given.COMMIT?.slice(0, 12)}`
  const files = execFileSync('git', ['archive', '--format=tar', 'HEAD'], { cwd: root, maxBuffer: 2 ** 30 })
  const known = Object.entries(given).flatMap(([name, value]) => ['--build-arg', `${name}=${value}`])
  const names = ['--tag', name, '--tag', `${target}:latest`]
  const command = [
    'build',
    '--file',
    'infra/images/Dockerfile',
    '--target',
    target,
    ...names,
    ...known,
    ...options,
    '-',
  ]
  try {
    execFileSync('docker', command, {
      input: files,
      stdio: ['pipe', 'inherit', 'inherit'],
      env: { ...process.env, DOCKER_BUILDKIT: '1' },
    })
  } catch (error) {
    const { code } = error as { code?: string }
    throw new Error(
      code === 'ENOENT' ? 'docker is not installed here: install it, then try again.' : 'The build failed: see above.',
    )
  }
  return name
}

if (import.meta.main) {
  await main(() => {
    const [target = 'orders-api', ...options] = process.argv.slice(2)
    const name = buildImage(target, options)
    const size = Number(capture('docker', ['image', 'inspect', '--format', '{{.Size}}', name]))
    console.log(`Built ${name}, ${(size / 1e6).toFixed(0)} MB.`)
  })
}
