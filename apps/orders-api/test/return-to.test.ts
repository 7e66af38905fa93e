import t from 'tap'
import { localPath } from '../src/access/return-to.ts'
import { begin, come, PUBLIC_URL, signInAtIssuer, startPages } from './access/sign-in.ts'

const elsewhere = [
  '//evil.example',
  '///evil.example',
  '////evil.example',
  '/\\evil.example',
  '\\\\evil.example',
  '\\/evil.example',
  '/\\/evil.example',
  '/\t/evil.example',
  '/\n/evil.example',
  '/\r/evil.example',
  '\t//evil.example',
  ' //evil.example',
  '/\t\\evil.example',
  '/.//evil.example',
  '/..//evil.example',
  '/../..//evil.example',
  '/./\\evil.example',
  '/x/..//evil.example',
  '/%2e//evil.example',
  '/%2E%2E//evil.example',
  '/%2e%2e/%2e//evil.example',
  'https://evil.example',
  'http://evil.example',
  'HTTPS://evil.example',
  'https:/evil.example',
  'https:evil.example',
  'http:\\\\evil.example',
  'ftp://evil.example',
  'javascript:alert(1)',
  'JavaScript:alert(1)',
  'java\nscript:alert(1)',
  '\u0001javascript:alert(1)',
  'data:text/html,x',
  'vbscript:x',
  'blob:https://evil.example/x',
  'file:///etc/passwd',
  'evil.example',
  '@evil.example',
  '//evil.example@localhost',
  'https://localhost@evil.example',
  '//localhost:80@evil.example',
  'http://localhost.evil.example',
  '//%65vil.example',
  '//evil%E3%80%82example',
  '//evil。example',
  '/\u2028//evil.example/..//evil.example',
  '//[::1]',
  '//0x7f000001',
  '?//evil.example',
  '#//evil.example',
  '',
  '/sign-in?return_to=//evil.example',
  '/sign-out',
] as const
const ours = [
  '/',
  '/ui/orders/a?done=placed',
  '/?q=a%20b&status=placed',
  '/%2F/evil.example',
  '/%09/evil.example',
  '/%5Cevil.example',
  '/a//b',
  '/?next=//evil.example',
]

/** Whether a browser on this page would stay on the site if it were told to go there. */
const stays = (location: string) => URL.parse(location, `${PUBLIC_URL}/sign-in`)?.origin === PUBLIC_URL

t.test('no address of another site is returned to', async (t) => {
  t.ok(elsewhere.length >= 40, `${elsewhere.length} addresses`)
  for (const address of elsewhere) {
    const path = localPath(address)
    t.ok(stays(path) && path.startsWith('/'), encodeURI(`${address} -> ${path}`))
  }
  for (const address of ours) t.equal(localPath(address), address, encodeURI(address))
  for (const odd of [undefined, null, 5, ['//evil.example'], {}, `/${'x'.repeat(3000)}`]) t.equal(localPath(odd), '/')
  const naive: ((text: string) => string)[] = [
    (text) => (text.startsWith('/') ? text : '/'),
    (text) => (/^\/(?!\/)/.test(text) ? text : '/'),
    (text) => {
      const url = URL.parse(text, PUBLIC_URL)
      return url?.origin === PUBLIC_URL ? `${url.pathname}${url.search}` : '/'
    },
  ]
  for (const [i, check] of naive.entries())
    t.ok(elsewhere.filter((address) => !stays(check(address))).length > 0, `control: naive check ${i} is caught`)

  const { browser } = await startPages(t)
  for (const address of elsewhere) {
    const query = new URLSearchParams({ return_to: address })
    const { page } = await browser.get(`/sign-in?${query}`)
    const _csrf = page.document.querySelector('[name="_csrf"]')?.getAttribute('value') ?? ''
    const { statusCode, headers } = await browser.post('/sign-in/guest', { _csrf, return_to: address })
    t.ok(statusCode === 303 && stays(String(headers.location)), encodeURI(`${address} -> ${headers.location}`))
    browser.cookies.delete('sid')
  }
  const back = await signInAtIssuer(await begin(browser, 'First', '//evil.example'), 'ada')
  t.match(await come(browser, back), { statusCode: 303, headers: { location: '/' } })
})
