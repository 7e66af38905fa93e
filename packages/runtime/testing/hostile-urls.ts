/** Addresses that lead inside, one or more of each kind. */
export const innerAddresses = {
  v4: [
    '127.0.0.1',
    '127.9.8.7',
    '0.0.0.0',
    '10.1.2.3',
    '172.16.5.4',
    '192.168.1.1',
    '169.254.169.254',
    '169.254.170.2',
    '100.64.0.1',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '192.0.2.2',
    '198.18.0.1',
    '198.51.100.7',
    '203.0.113.9',
    '192.88.99.1',
    '224.0.0.251',
    '240.0.0.1',
    '255.255.255.255',
  ],
  v6: ['::', '::1', 'fd00:ec2::254', 'fd12::1', 'fe80::1', 'fec0::1', 'ff02::1', '2001:db8::1', '3fff::1', '100::1'],
}

/** Ways to write an IPv4 address. Some the parser of URLs refuses, most it takes for the address. */
function formsOfV4(address: string): string[] {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
  const number = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
  const octal = (n: number) => `0${n.toString(8)}`
  const hex = (n: number) => `0x${n.toString(16)}`
  const inHextets = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  const inverted = `${((~number >>> 16) & 0xffff).toString(16)}:${(~number & 0xffff).toString(16)}`
  const spelled = (zero: number) => address.replace(/\d/g, (digit) => String.fromCodePoint(zero + Number(digit)))
  return [
    address,
    `${address}.`,
    String(number),
    hex(number),
    octal(number),
    [a, b, c, d].map(hex).join('.'),
    [a, b, c, d].map(octal).join('.'),
    [a, b, c, d].map((n) => `000${octal(n)}`).join('.'),
    `${a}.${hex(b)}.${(c << 8) | d}`,
    `${a}.${(b << 16) | (c << 8) | d}`,
    `${a}.${b}.${c}.${d + 256}`,
    address.replace(/\d/g, (digit) => `%3${digit}`),
    address.replaceAll('.', '%2e'),
    address.replaceAll('.', '\u3002'),
    address.replaceAll('.', '\uff0e'),
    spelled(0xff10),
    spelled(0x1d7ce),
    address.replace('.', '.\t'),
    address.replace('.', '\n.'),
    `\u00ad${address}`,
    `[::ffff:${address}]`,
    `[::ffff:${inHextets}]`,
    `[0:0:0:0:0:ffff:${inHextets}]`,
    `[::${address}]`,
    `[::ffff:0:${address}]`,
    `[64:ff9b::${address}]`,
    `[64:ff9b:1::${inHextets}]`,
    `[2002:${inHextets}::1]`,
    `[2001:0:4136:e378:8000:63bf:${inverted}]`,
    `user@${address}`,
    `hooks.example.com:secret@${address}`,
    `hooks.example.com%40@${address}`,
  ]
}

function formsOfV6(address: string): string[] {
  return [`[${address}]`, `[${address}%25lo]`, `[${address}%lo]`, `[${address.toUpperCase()}]`, `user@[${address}]`]
}

const names = [
  'localhost',
  'LOCALHOST',
  'localhost.',
  'a.localhost',
  'loc%61lhost',
  '\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3',
  'metadata',
  'metadata.google.internal',
  'instance-data.ec2.internal',
  'printer.local',
  'kubernetes',
  'router.home.arpa',
]

const otherUrls = [
  'file:///etc/passwd',
  'ftp://127.0.0.1/',
  'gopher://127.0.0.1:6379/_INFO',
  'dict://127.0.0.1:6379/INFO',
  'ws://127.0.0.1/',
  'unix:/var/run/docker.sock',
  'data:text/plain,hello',
  'javascript:alert(1)',
  'blob:https://127.0.0.1/1',
  'https:127.0.0.1',
  'https:/127.0.0.1/',
  'https:///127.0.0.1/',
  'https:\\\\127.0.0.1\\',
  'https://127.0.0.1\\@hooks.example.com/',
  'https://127.0.0.1#@hooks.example.com/',
  'https://127.0.0.1?@hooks.example.com/',
  ' https://127.0.0.1/',
  'ht\ntps://127.0.0.1/',
  '//127.0.0.1/',
  '127.0.0.1',
  'https://',
  'https://hooks.example.com./',
  'https://hooks.example.com:/',
  'https://hooks.example.com:0443/',
  'https://hooks.example.com:22/',
  'https://hooks..example.com/',
  'https://-.example.com/',
  'https://a_b.example.com/',
  `https://${'a'.repeat(64)}.example.com/`,
  `https://hooks.example.com/${'a'.repeat(2048)}`,
  'http://hooks.example.com/',
  'https://user@hooks.example.com/',
  'https://user:password@hooks.example.com/',
  'https://hooks.ex\u0430mple.com/',
  '',
]

/** Every hostile host in every form, with both schemes and each port: some thousands, none of which may be sent to. */
export function hostileUrls(ports: number[]): string[] {
  const hosts = [...innerAddresses.v4.flatMap(formsOfV4), ...innerAddresses.v6.flatMap(formsOfV6), ...names]
  const authorities = hosts.flatMap((host) => [host, ...ports.map((port) => `${host}:${port}`)])
  return [...authorities.flatMap((it) => [`https://${it}/hook`, `http://${it}/hook`]), ...otherUrls]
}
