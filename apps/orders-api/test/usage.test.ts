import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { openStream, signInAsGuest } from './long-responses/client.ts'
import { startService } from './service.ts'
import { openBrowser } from './ui/browser.ts'

const GUEST_KEYS = await newGuestKeys('test-key')
const QUOTAS = 'projects=2,members=50'

t.test('GET /usage shows what an organisation uses, and QUOTA_EXCEEDED names the quota', async (t) => {
  const settings = { GUEST_KEYS, QUOTAS, CONCURRENCY_LIMITS: 'org-streams=7', AUTH_MODE: 'required' }
  const service = await startService(t, settings)
  const [ann, bob] = [await signInAsGuest(service), await signInAsGuest(service)]
  const usageOf = async ({ headers }: typeof ann) => (await service.send('GET', '/api/v1/usage', { headers })).json
  const addProject = (slug: string) =>
    service.send('POST', `/api/v1/orgs/${ann.org}/projects`, { headers: ann.headers, body: { name: 'Shop', slug } })
  await addProject('a')
  await addProject('b')
  await openStream(service, ann.headers)

  const refused = await addProject('c')

  t.match(refused, {
    status: 403,
    json: {
      error: 'QUOTA_EXCEEDED',
      detail: 'The organisation has 2 of at most 2 projects.',
      quota: { name: 'projects', used: 2, limit: 2 },
    },
  })
  t.strictSame(await usageOf(ann), {
    org_id: ann.org,
    quotas: [
      { name: 'orders', used: 0, limit: 10_000_000, scope: 'all_servers' },
      { name: 'metadata-bytes', used: 0, limit: 1_073_741_824, scope: 'all_servers' },
      { name: 'projects', used: 2, limit: 2, scope: 'all_servers' },
      { name: 'members', used: 1, limit: 50, scope: 'all_servers' },
      { name: 'webhooks', used: 0, limit: 20, scope: 'all_servers' },
      { name: 'import-lines', used: 0, limit: 10_000_000, scope: 'all_servers' },
      { name: 'streams', used: 1, limit: 7, scope: 'this_server' },
      { name: 'imports', used: 0, limit: 8, scope: 'this_server' },
    ],
  })
  const unused = (await usageOf(bob)).quotas.map(({ used }: { used: number }) => used)
  t.strictSame(unused, [0, 0, 0, 1, 0, 0, 0, 0], 'of another organisation')
  t.match(await service.send('GET', '/api/v1/usage'), { status: 401 })
  t.match(await service.send('GET', '/api/v1/usage', { headers: { ...bob.headers, 'x-org-id': ann.org } }), {
    status: 404,
  })
})

t.test('an import above the lines of a day places none of them', async (t) => {
  const service = await startService(t, { QUOTAS: 'import-lines=3' })
  const importTwo = (name: string) =>
    service.send('POST', '/api/v1/orders/import', {
      headers: { 'content-type': 'application/x-ndjson' },
      body: `{"id":"${name}-1","amount":1}\n{"id":"${name}-2","amount":1}\n`,
    })
  const within = await importTwo('a')

  const above = await importTwo('b')

  t.match(within, { status: 200, json: { placed_count: 2 } })
  t.match(above, {
    status: 403,
    json: {
      error: 'QUOTA_EXCEEDED',
      detail: 'The organisation has imported 2 of at most 3 lines today (UTC); 2 more exceed the quota.',
      quota: { name: 'import-lines', used: 2, limit: 3 },
    },
  })
  t.match(await service.send('GET', '/api/v1/orders/b-1'), { status: 404 })
  const { quotas } = (await service.send('GET', '/api/v1/usage')).json
  t.match(quotas, [{ name: 'orders', used: 2 }, {}, {}, {}, {}, { name: 'import-lines', used: 2, limit: 3 }])
})

t.test('rejects a setting that names no quota or no limit', async (t) => {
  for (const setting of ['things=1', 'projects', 'projects=0', 'projects=1,', 'projects=-1']) {
    await t.rejects(startService(t, { QUOTAS: setting }), { message: /QUOTAS/ }, setting)
  }
})

t.test('a page shows the use of each quota', async (t) => {
  const { get, actAsGuest } = await openBrowser(t, { GUEST_KEYS, QUOTAS })
  await actAsGuest()

  const { page, statusCode } = await get('/ui/usage')

  t.equal(statusCode, 200)
  t.equal(page.heading(), 'Usage')
  t.match(page.text('table.usage tbody'), /Projects 0 2 0 Members 1 50 2 Webhooks 0 20 0 /)
})
