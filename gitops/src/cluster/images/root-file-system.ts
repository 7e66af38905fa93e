import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { cacheFolder, execute, exists, fillOnce } from '../../tools/cache.ts'
import { type Layer, readLayer } from './layer.ts'

const suite = 'bookworm'
const documents = ['doc', 'man', 'info', 'locale']
const dpkg = ['force-unsafe-io', ...documents.map((name) => `path-exclude=/usr/share/${name}/*`)].map(
  (option) => `--dpkgopt=${option}`,
)
// A date makes two builds from the same packages identical.
const environment = { SOURCE_DATE_EPOCH: '0' }

/**
 * A layer with Debian packages and all that they need. `extract` unpacks them without running their scripts; it has no
 * users but root and suits a program that only needs libraries.
 */
export async function debianLayer(packages: string[], variant: 'extract' | 'essential' = 'essential'): Promise<Layer> {
  const key = createHash('sha256')
    .update(JSON.stringify([suite, variant, packages, dpkg]))
    .digest('hex')
    .slice(0, 12)
  const folder = await fillOnce(`root-file-systems/${key}`, async (to) => {
    const options = ['--quiet', `--variant=${variant}`, `--include=${packages.join(',')}`, ...dpkg]
    const failed = `A root file system with ${packages.join(', ')} was not made: install Debian's package mmdebstrap.`
    await execute(failed, 'mmdebstrap', [...options, suite, join(to, 'layer.tar')], environment)
  })
  return readLayer(join(folder, 'layer.tar'))
}

/** A package of PyPI, unpacked into the cache. Answers its folder. */
export async function pythonPackage(name: string, version: string): Promise<string> {
  const folder = join(cacheFolder, `pypi/${name}-${version}`)
  if (await exists(folder)) return folder
  const options = ['--quiet', '--disable-pip-version-check', '--root-user-action=ignore', '--no-deps', '--no-compile']
  const failed = `${name} ${version} was not downloaded: install Python 3 with pip.`
  return fillOnce(`pypi/${name}-${version}`, async (to) => {
    await execute(failed, 'python3', ['-m', 'pip', 'install', ...options, '--target', to, `${name}==${version}`])
  })
}
