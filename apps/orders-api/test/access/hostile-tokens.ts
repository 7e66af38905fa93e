import { createHmac, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'

/** What a guest's token is made of, and the service's own key that signed it. */
export type Genuine = {
  header: Record<string, unknown>
  claims: Record<string, unknown>
  key: { kid: string; x: string; d: string }
}

const base64 = (value: string | Buffer) => Buffer.from(value).toString('base64url')
const json = (value: unknown) => base64(JSON.stringify(value))

/**
 * Tokens that must not be taken, by what is wrong with each: forged ones, and ones that the service's own key has
 * signed but whose header or claims do not hold.
 */
export function hostileTokens({ header, claims, key }: Genuine): [name: string, token: string][] {
  const own = createPrivateKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x: key.x, d: key.d } })
  const stranger = generateKeyPairSync('ed25519')
  const signedBy = (privateKey: typeof own) => (first: string, second: string) =>
    `${first}.${second}.${sign(null, Buffer.from(`${first}.${second}`), privateKey).toString('base64url')}`
  const signed = signedBy(own)
  const forged = signedBy(stranger.privateKey)
  const now = Math.floor(Date.now() / 1000)
  const valid = signed(json(header), json(claims))
  const [first = '', second = '', third = ''] = valid.split('.')
  const found: [string, string][] = []
  const add = (name: string, token: string) => found.push([name, token])
  const claim = (name: string, change: object) => add(name, signed(json(header), json({ ...claims, ...change })))
  const without = (part: Record<string, unknown>, name: string) =>
    Object.fromEntries(Object.entries(part).filter(([other]) => other !== name))

  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null, 0, undefined, 'EdDSA ', 'eddsa', 'ed25519']) {
    for (const typ of ['at+jwt', 'JWT', undefined]) {
      for (const signature of ['', third, 'AA']) {
        if (alg === undefined && typ === undefined && signature === third) continue
        add(
          `alg ${alg} typ ${typ} signature ${signature.slice(0, 4)}`,
          `${json({ ...header, alg, typ })}.${second}.${signature}`,
        )
      }
    }
  }
  const spki = `-----BEGIN PUBLIC KEY-----\n${base64(Buffer.from(key.x, 'base64url'))}\n-----END PUBLIC KEY-----\n`
  const secrets = [
    key.x,
    Buffer.from(key.x, 'base64url'),
    spki,
    JSON.stringify({ kty: 'OKP', crv: 'Ed25519', x: key.x }),
    '',
    key.kid,
    'secret',
  ]
  for (const [alg, hash] of [
    ['HS256', 'sha256'],
    ['HS384', 'sha384'],
    ['HS512', 'sha512'],
  ] as const) {
    secrets.forEach((secret, i) => {
      const input = `${json({ ...header, alg })}.${second}`
      add(`${alg} with public secret ${i}`, `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`)
    })
  }
  for (const alg of ['RS256', 'RS384', 'RS512', 'PS256', 'ES256', 'ES384', 'ES512', 'ES256K', 'Ed448']) {
    add(`${alg} by a stranger`, forged(json({ ...header, alg }), second))
    add(`${alg} said of our signature`, signed(json({ ...header, alg }), second))
  }
  add('a stranger’s key under our kid', forged(json(header), second))

  const kids = [
    '',
    ' ',
    key.kid.toUpperCase(),
    `${key.kid} `,
    `${key.kid}\0`,
    `x${key.kid}`,
    'x'.repeat(65),
    'x'.repeat(3000),
    '../../../dev/null',
    '/dev/null',
    '/proc/self/environ',
    'file:///dev/null',
    '..%2f..%2fdev%2fnull',
    '....//....//dev/null',
    'C:\\Windows\\win.ini',
    "' OR '1'='1",
    "' UNION SELECT 'secret' --",
    "'; DROP TABLE users; --",
    '1; SELECT pg_sleep(5)',
    '$(id)',
    '`id`',
    '|id',
    '%00',
    '__proto__',
    'constructor',
    'toString',
    'https://evil.example/jwks.json',
    'http://169.254.169.254/',
    '{{7*7}}',
    '%{jndi:ldap://x}',
    'ключ',
    '🔑',
    '*',
    '0',
    null,
    0,
    1,
    true,
    [],
    [key.kid],
    {},
    { kid: key.kid },
    undefined,
  ]
  for (const kid of kids) {
    add(`kid ${JSON.stringify(kid)?.slice(0, 40)} by us`, signed(json({ ...header, kid }), second))
    add(`kid ${JSON.stringify(kid)?.slice(0, 40)} by a stranger`, forged(json({ ...header, kid }), second))
  }
  const strangerJwk = stranger.publicKey.export({ format: 'jwk' })
  const asks: [string, unknown][] = [
    ['jku', 'https://evil.example/jwks.json'],
    ['jku', 'http://localhost:1/jwks.json'],
    ['jku', ''],
    ['x5u', 'https://evil.example/cert.pem'],
    ['x5u', 'file:///etc/passwd'],
    ['jwk', strangerJwk],
    ['jwk', { ...strangerJwk, kid: key.kid }],
    ['jwk', null],
    ['x5c', ['MIIB']],
    ['x5c', []],
    ['x5t', 'AAAA'],
    ['x5t#S256', 'AAAA'],
    ['crit', ['exp']],
    ['crit', ['b64']],
    ['crit', ['unknown']],
    ['crit', []],
    ['crit', 'exp'],
    ['crit', null],
    ['b64', false],
    ['b64', true],
    ['zip', 'DEF'],
  ]
  for (const [name, value] of asks) {
    add(`${name} ${JSON.stringify(value).slice(0, 30)} by us`, signed(json({ ...header, [name]: value }), second))
    add(
      `${name} ${JSON.stringify(value).slice(0, 30)} by a stranger`,
      forged(json({ ...header, [name]: value }), second),
    )
  }
  for (const typ of [
    '',
    'JWT',
    'jwt',
    'at',
    'at+jwt ',
    'id+jwt',
    'logout+jwt',
    'dpop+jwt',
    'application/jwt',
    null,
    0,
    ['at+jwt'],
    {},
    undefined,
  ]) {
    add(`typ ${JSON.stringify(typ)}`, signed(json({ ...header, typ }), second))
  }

  for (const name of ['iss', 'aud', 'exp', 'iat', 'sub', 'jti']) {
    add(`no ${name}`, signed(json(header), json(without(claims, name))))
    for (const value of [
      null,
      '',
      0,
      -1,
      1e300,
      true,
      false,
      [],
      {},
      [claims[name]],
      { value: claims[name] },
      `${claims[name]} `,
      ' ',
      'null',
      '\u0000',
    ])
      claim(`${name} ${JSON.stringify(value)}`, { [name]: value })
  }
  for (const exp of [
    now - 31,
    now - 3600,
    1,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    9e15,
    now + 86_400 * 2,
    now + 86_401 * 365,
    now + 0.5,
  ])
    claim(`exp ${exp}`, { exp })
  for (const iat of [now + 3600, now + 86_400, now - 86_400 - 60, now - 1e7, now + 0.5]) {
    claim(`iat ${iat}`, { iat })
    claim(`iat ${iat} with its day`, { iat, exp: iat + 86_400 * (iat < now ? 30 : 1) })
  }
  for (const nbf of [now + 61, now + 1e6, 'soon', {}, [], true]) claim(`nbf ${JSON.stringify(nbf)}`, { nbf })
  for (const iss of [
    'Orders',
    'orders/',
    'orders.',
    'https://orders',
    'order',
    'orders\n',
    'accounts.google.com',
    ['orders'],
    'orders,other',
  ])
    claim(`iss ${JSON.stringify(iss)}`, { iss })
  for (const aud of ['Orders', 'orders/', 'other', ['other'], ['orders', 'other'], [], ['orders '], '*'])
    claim(`aud ${JSON.stringify(aud)}`, { aud })
  for (const sub of [
    'admin',
    '*',
    "' OR 1=1 --",
    '00000000-0000-0000-0000-000000000000',
    String(claims.sub).toUpperCase(),
    `${claims.sub}\0`,
    `{${claims.sub}}`,
    '../x',
  ])
    claim(`sub ${sub}`, { sub })

  for (let at = 0; at < third.length - 1; at += 2) {
    add(
      `bit ${at} of the signature`,
      `${first}.${second}.${third.slice(0, at)}${third[at] === 'A' ? 'B' : 'A'}${third.slice(at + 1)}`,
    )
  }
  for (let length = 0; length < third.length; length += 12)
    add(`signature cut to ${length}`, `${first}.${second}.${third.slice(0, length)}`)
  for (let at = 0; at < second.length; at += 8) {
    add(
      `byte ${at} of the claims`,
      `${first}.${second.slice(0, at)}${second[at] === 'A' ? 'B' : 'A'}${second.slice(at + 1)}.${third}`,
    )
  }

  const text = JSON.stringify(claims)
  for (const [name, value] of Object.entries({ sub: 'x', exp: now + 1e6, aud: 'x', scope: 'orgs:write', iss: 'x' })) {
    add(
      `${name} twice, ours last`,
      signed(json(header), base64(`{"${name}":${JSON.stringify(value)},${text.slice(1)}`)),
    )
    add(
      `${name} twice, ours first`,
      signed(json(header), base64(`${text.slice(0, -1)},"${name}":${JSON.stringify(value)}}`)),
    )
  }
  add('alg twice', signed(base64(`{"alg":"none",${JSON.stringify(header).slice(1)}`), second))
  add('kid twice', signed(base64(`${JSON.stringify(header).slice(0, -1)},"kid":"x"}`), second))
  for (const raw of [
    '',
    ' ',
    '[]',
    '"x"',
    'null',
    '1',
    'true',
    '{',
    '{}',
    `\ufeff${text}`,
    `${text}x`,
    `[${text}]`,
    text.replace('{', '{"__proto__":{},'),
    '['.repeat(500),
    Buffer.from([0xff, 0xfe]),
  ]) {
    add(`claims ${JSON.stringify(String(raw)).slice(0, 20)}`, signed(json(header), base64(raw)))
    add(`header ${JSON.stringify(String(raw)).slice(0, 20)}`, signed(base64(raw), second))
  }
  // base64url writes one of three question marks as `_`, whatever else the token contains.
  const inStandardBase64 = signed(json(header), json({ ...claims, note: '???' })).replace(/[-_]/g, (it) =>
    it === '-' ? '+' : '/',
  )
  for (const token of [
    first,
    `${first}.${second}`,
    `${first}.${second}.`,
    `.${second}.${third}`,
    `${first}..${third}`,
    '..',
    '...',
    `${valid}.`,
    `${valid}.x`,
    `.${valid}`,
    `${valid}.${third}.x`,
    `${valid}=`,
    `${first}=.${second}.${third}`,
    `${first}.${second}=.${third}`,
    valid.replaceAll('.', ','),
    valid.split('').reverse().join(''),
    `${third}.${second}.${first}`,
    `${second}.${first}.${third}`,
    encodeURIComponent(`${valid}%00`),
    `${valid}%20`,
    `"${valid}"`,
    `'${valid}'`,
    JSON.stringify({ payload: second, protected: first, signature: third }).replaceAll(' ', ''),
    `${first}.${second}.${'A'.repeat(5000)}`,
    inStandardBase64,
    `${valid}A`,
    `A${valid}`,
    'x',
    '0',
    'null',
    'undefined',
    'true',
  ]) {
    add(`shape ${token.slice(0, 12)}…${token.length}`, token)
  }
  claim('5 kB of claims by us', {
    padding: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, 'x'.repeat(80)])),
  })
  return [...new Map(found.map(([name, token]) => [token, name]))].map(([token, name]) => [name, token])
}
