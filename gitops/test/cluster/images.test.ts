import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packLayer } from '../../src/cluster/images/layer.ts'
import { describeImage } from '../../src/cluster/images/manifest.ts'
import { onMirror } from '../../src/cluster/images/registry.ts'

function writeFiles(folder: string, names: string[], time: number): void {
  mkdirSync(folder)
  for (const name of names) {
    writeFileSync(join(folder, name), name)
    utimesSync(join(folder, name), time, time)
  }
  symlinkSync('a', join(folder, 'link'))
}

t.test('packs equal files into equal layers, whatever their order and times', async (t) => {
  const [one, two] = [join(t.testdir(), 'one'), join(t.testdirName, 'two')]
  writeFiles(one, ['a', 'b'], 1)
  writeFiles(two, ['b', 'a'], 2)

  const first = await packLayer(one, `${one}.tar`)
  const second = await packLayer(two, `${two}.tar`)
  t.equal(first.digest, second.digest)
  t.match(first.digest, /^sha256:[0-9a-f]{64}$/)

  chmodSync(join(two, 'a'), 0o755)
  t.not((await packLayer(two, `${two}.tar`)).digest, first.digest, 'a changed mode changes the digest')
})

t.test('describes an image by its layers and configuration alone', async (t) => {
  const layer = { digest: `sha256:${'a'.repeat(64)}`, size: 10, path: '/unused' }
  const first = describeImage({ User: '1000' }, [layer])

  t.strictSame(first, describeImage({ User: '1000' }, [{ ...layer, path: '/elsewhere' }]))
  t.not(first.manifest.digest, describeImage({ User: '0' }, [layer]).manifest.digest)
  const manifest = JSON.parse(first.manifest.bytes.toString())
  t.equal(manifest.config.digest, first.config.digest)
  t.match(manifest.layers, [{ digest: layer.digest, size: 10 }])
  t.match(JSON.parse(first.config.bytes.toString()), { config: { User: '1000', Env: [/^PATH=/] } })
})

t.test('finds the name of an image on a mirror of every registry', async (t) => {
  t.strictSame(onMirror('quay.io/argoproj/argocd:v3.5.7'), { repository: 'argoproj/argocd', tag: 'v3.5.7' })
  t.strictSame(onMirror('localhost:5001/orders-api:abc'), { repository: 'orders-api', tag: 'abc' })
  t.throws(() => onMirror('redis:8'), /redis:8 is not the name/)
  t.throws(() => onMirror(`ghcr.io/a/b@sha256:${'0'.repeat(64)}`), /is not the name/)
})
