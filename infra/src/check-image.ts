/** Looks into every layer of an image: fails, and says why, when something is in it that no process needs. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { capture, main, run } from './command.ts'
import { type Entry, findings, type Image, type Lock } from './image-rules.ts'

/** Reads an image out of the local Docker. Throws an Error when there is no such image. */
export function readImage(name: string): Image & { bytes: number } {
  const work = mkdtempSync(join(tmpdir(), 'orders-image-'))
  try {
    run('docker', ['save', '--output', join(work, 'image.tar'), name])
    run('tar', ['-xf', join(work, 'image.tar'), '-C', work])
    const [{ Config, Layers }] = JSON.parse(readFileSync(join(work, 'manifest.json'), 'utf8'))
    const { config } = JSON.parse(readFileSync(join(work, Config), 'utf8'))
    const entries = (Layers as string[]).flatMap((layer) => readLayer(join(work, layer)))
    return { entries, config, bytes: Number(capture('docker', ['image', 'inspect', '--format', '{{.Size}}', name])) }
  } finally {
    rmSync(work, { recursive: true })
  }
}

function readLayer(file: string): Entry[] {
  return capture('tar', ['-tvf', file, '--numeric-owner', '--quoting-style=literal'])
    .split('\n')
    .flatMap((line) => {
      const [, mode, owner, path] = /^(\S+) +(\d+\/\d+) +\S+ +\S+ +\S+ (.*?)(?: -> .*| link to .*)?$/.exec(line) ?? []
      return mode && owner && path ? [{ mode, owner, path: path.replace(/^\.?\//, '').replace(/\/$/, '') }] : []
    })
}

export function readLock(root: string): Lock {
  return JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
}

if (import.meta.main) {
  await main(() => {
    const [name, app = 'orders-api'] = parseArgs({ allowPositionals: true }).positionals
    if (name === undefined) throw new Error('Name the image to look into, such as orders-api:latest.')
    const image = readImage(name)
    const wrong = findings(image, app, readLock(join(import.meta.dirname, '../..')))
    for (const sentence of wrong) console.log(sentence)
    if (wrong.length > 0) throw new Error(`${wrong.length} findings in ${name}: mend them in infra/images/Dockerfile.`)
    console.log(`${image.entries.length} files, ${(image.bytes / 1e6).toFixed(0)} MB: all of them belong there.`)
  })
}
