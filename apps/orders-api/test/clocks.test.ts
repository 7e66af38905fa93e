import { mock } from 'node:test'
import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { startService } from './service.ts'

const GUEST_KEYS = await newGuestKeys('test-key')

for (const hours of [2, -2]) {
  t.test(`a process whose clock is ${hours} h ahead works by the clock of the database`, async (t) => {
    const right = await startService(t, { GUEST_KEYS })
    const { json: guest } = await right.send('POST', '/api/v1/auth/guest')
    mock.timers.enable({ apis: ['Date'], now: Date.now() + hours * 3_600_000 })
    t.teardown(() => mock.timers.reset())

    const settings = { GUEST_KEYS, DATABASE_URL: right.url }
    const wrong = await startService(t, settings)
    const headers = { authorization: `Bearer ${guest.access_token}` }
    t.match(await wrong.send('GET', '/api/v1/me', { headers }), { status: 200, json: { user: guest.user } })
    const { json: other } = await wrong.send('POST', '/api/v1/auth/guest')
    const { iat } = JSON.parse(Buffer.from(other.access_token.split('.')[1], 'base64url').toString())
    mock.timers.reset()
    t.ok(Math.abs(iat - Date.now() / 1000) < 60, `a token is issued at ${iat}`)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + hours * 3_600_000 })

    await wrong.place({ amount: 1 })
    const { json: stats } = await wrong.send('GET', '/orders/stats')
    t.match(stats.data, [{ count: 1, sum: '1' }], 'statistics reach to now')
    mock.timers.reset()
    t.ok(Math.abs(Date.parse(stats.to) - Date.now()) < 60_000, stats.to)
  })
}
