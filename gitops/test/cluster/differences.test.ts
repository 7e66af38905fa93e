import t from 'tap'
import { differences } from '../../src/cluster/differences.ts'
import { modulePins } from '../../src/cluster/pins.ts'

const servers = ['envoy', 'postgres', 'prometheus', 'redis']

t.test('states what differs for every program that is patched or has an own source', async (t) => {
  const changed = modulePins.flatMap(({ packages, patches = {} }) => {
    const folders = Object.values(patches).map((file) => file.split('/')[0]?.replace(/-patches$/, ''))
    return Object.keys(packages).filter((name) => packages[name]?.startsWith('./') || folders.includes(name))
  })

  t.strictSame(
    Object.keys(differences)
      .filter((name) => changed.includes(name))
      .sort(),
    [...new Set(changed)].sort(),
  )
})

t.test('names programs and servers alone', async (t) => {
  const names = modulePins.flatMap(({ packages }) => Object.keys(packages))
  t.strictSame(
    Object.keys(differences).filter((name) => !names.includes(name) && !servers.includes(name)),
    [],
  )
})
