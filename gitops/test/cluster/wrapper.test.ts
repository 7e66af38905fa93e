import t from 'tap'
import { wrapperModule } from '../../src/cluster/wrapper.ts'

const pin = { module: 'example.org/server/v2', version: '2.1.0', packages: { server: 'example.org/server/v2/cmd' } }
const goMod = {
  Go: '1.26.0',
  Require: [{ Path: 'example.org/library', Version: 'v1.0.0' }],
  Replace: [
    { Old: { Path: 'example.org/old', Version: 'v1.0.0' }, New: { Path: 'example.org/new', Version: 'v1.1.0' } },
  ],
}

t.test('requires the pinned module and repeats its requirements and replacements', async (t) => {
  t.equal(
    wrapperModule(pin, goMod),
    [
      'module example.org/server/orders',
      'go 1.26.0',
      'require example.org/library v1.0.0',
      'require example.org/server/v2 v2.1.0',
      'replace example.org/old v1.0.0 => example.org/new v1.1.0',
      '',
    ].join('\n'),
  )
})

t.test('replaces a folder of the module by its published version', async (t) => {
  const local = (path: string) => ({ Replace: [{ Old: { Path: path }, New: { Path: './parts/x' } }] })

  const exact = { ...pin, replace: { 'example.org/part': '0.3.0' } }
  t.match(wrapperModule(exact, local('example.org/part')), 'replace example.org/part => example.org/part v0.3.0\n')
  const pattern = { ...pin, replace: { 'example.org/*': '0.4.0' } }
  t.match(wrapperModule(pattern, local('example.org/part')), 'replace example.org/part => example.org/part v0.4.0\n')
  t.throws(() => wrapperModule(pin, local('example.org/part')), /example.org\/part by its folder .\/parts\/x: pin/)
  t.throws(() => wrapperModule(exact, local('example.org/parts')), /pin a published version/)
})

t.test('adds the modules of the pin and keeps exclusions', async (t) => {
  const text = wrapperModule(
    { ...pin, require: { 'example.org/library': '1.2.0' } },
    {
      ...goMod,
      Exclude: [{ Path: 'example.org/broken', Version: 'v0.1.0' }],
    },
  )

  t.match(text, 'require example.org/library v1.2.0\n')
  t.notMatch(text, 'require example.org/library v1.0.0\n')
  t.match(text, 'exclude example.org/broken v0.1.0\n')
})

t.test('repeats replacements of added modules', async (t) => {
  const added = { ...pin, replace: { 'example.org/a': 'example.org/b v0.2.0' } }
  t.match(wrapperModule(added, goMod), 'replace example.org/a => example.org/b v0.2.0\n')
})

t.test('replaces a patched module by its copy', async (t) => {
  const patched = wrapperModule({ ...pin, patches: { 'a.go': 'server/a.go' } }, goMod)
  t.match(patched, 'replace example.org/server/v2 => ./patched\n')
  t.notMatch(wrapperModule(pin, goMod), './patched')
})

t.test('needs no module for the project’s own programs', async (t) => {
  t.equal(wrapperModule({ version: '1.0.0', packages: { pause: './pause' } }, {}), 'module orders\ngo 1.26.0\n')
})
