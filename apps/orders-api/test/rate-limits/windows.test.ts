import t from 'tap'
import { networkOf } from '../../src/rate-limits/network.ts'
import { createWindows } from '../../src/rate-limits/windows.ts'
import { createClock } from './clock.ts'

t.test('an address stands for its network', async (t) => {
  for (const [address, network] of [
    ['192.0.2.7', '192.0.2.7'],
    ['192.0.2.7:4711', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['2001:DB8::1', '2001:db8:0:0::/64'],
    ['[2001:db8::1]:443', '2001:db8:0:0::/64'],
    ['2001:db8:0:0:ffff::', '2001:db8:0:0::/64'],
    ['2001:db8:0:1::', '2001:db8:0:1::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
    ['', 'unknown'],
    ['192.0.2.999', 'unknown'],
    ['2001:db8::1::2', 'unknown'],
  ] as const)
    t.equal(networkOf(address), network, address)
})

t.test('invented addresses take bounded memory, and push out no user', async (t) => {
  const clock = createClock()
  const figures = { anonymous: 1, guests: 1, 'all-guests': 1, writes: 1, 'org-writes': 2 }
  const windows = createWindows(figures, clock.now)
  const user = { limit: 'writes', of: 'ann' } as const
  const address = (of: string) => ({ limit: 'anonymous', of }) as const
  t.equal(windows.spend([user]), undefined)
  for (let i = 0; i < 50_000; i++) windows.spend([address(`a${i}`)])
  t.equal(windows.size(), 20_001)
  t.ok(windows.isSpent(user))
  t.ok(windows.isSpent(address('a49999')))
  t.notOk(windows.isSpent(address('a0')), 'the oldest one is forgotten')
  clock.pass(60_000)
  windows.spend([address('later')])
  clock.pass(60_000)
  windows.spend([address('still later')])
  t.equal(windows.size(), 3, 'what has ended is forgotten')

  t.equal(windows.spend([{ limit: 'org-writes', of: 'lamps' }]), undefined)
  clock.pass(1000)
  t.equal(windows.spend([user, { limit: 'org-writes', of: 'lamps' }]), undefined)
  t.same(
    windows.spend([user, { limit: 'org-writes', of: 'lamps' }]),
    { limit: 'writes', waitMs: 60_000 },
    'the longest',
  )
})
