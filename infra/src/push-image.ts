/** Builds the image of one process out of the last commit for both architectures, and pushes it without a name. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { capture, main } from './command.ts'
import { buildArguments } from './image.ts'

const root = join(import.meta.dirname, '../..')
const builder = 'orders-release'

/** The command that pushes `image` by digest, with SBOM and provenance; the digest is written to `metadata`. */
export function pushCommand(image: string, platforms: string, source: string, metadata: string): string[] {
  const target = image.slice(image.lastIndexOf('/') + 1)
  const given = Object.entries({ ...buildArguments(), SOURCE_URL: source })
  return [
    ...['buildx', 'build', '--builder', builder, '--file', 'infra/images/Dockerfile', '--target', target],
    ...['--platform', platforms, '--attest', 'type=sbom', '--attest', 'type=provenance,mode=max'],
    ...given.flatMap(([name, value]) => ['--build-arg', `${name}=${value}`]),
    ...[
      '--output',
      `type=image,name=${image},push=true,push-by-digest=true,name-canonical=true,rewrite-timestamp=true`,
    ],
    ...['--metadata-file', metadata, '-'],
  ]
}

/** Answers the digest. Throws an Error when the build or the push fails. */
export function pushImage(image: string, platforms: string, source: string): string {
  // The builder that comes with Docker can neither build for two architectures nor attest.
  capture('docker', ['buildx', 'create', '--name', builder, '--driver', 'docker-container'])
  const folder = mkdtempSync(join(tmpdir(), 'orders-push-'))
  try {
    const metadata = join(folder, 'metadata.json')
    const files = execFileSync('git', ['archive', '--format=tar', 'HEAD'], { cwd: root, maxBuffer: 2 ** 30 })
    const command = pushCommand(image, platforms, source, metadata)
    // Standard output belongs to the digest.
    execFileSync('docker', command, { input: files, stdio: ['pipe', process.stderr, process.stderr] })
    const digest = JSON.parse(readFileSync(metadata, 'utf8'))['containerimage.digest']
    if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error(`The build of ${image} tells no digest: update buildx.`)
    return digest
  } finally {
    capture('docker', ['buildx', 'rm', '--force', builder])
    rmSync(folder, { recursive: true })
  }
}

if (import.meta.main) {
  await main(() => {
    const [image, source = 'unknown', platforms = 'linux/amd64,linux/arm64'] = process.argv.slice(2)
    if (image === undefined) throw new Error('Name the image to push, such as registry.example.com/orders/orders-api.')
    console.log(`digest=${pushImage(image, platforms, source)}`)
  })
}
