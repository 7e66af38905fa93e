// The issuer as a process of its own, for tests that may not import it: ends with its parent, which holds its stdin.

import { startIssuer } from './issuer.ts'

const [pages = '', keys = '[]'] = process.argv.slice(2)
const options = { pages, audience: 'urn:orders', otherKeys: JSON.parse(keys) }
const { url } = await startIssuer({ teardown: () => {} }, options)
process.stdin.resume().on('end', () => process.exit())
console.log(`The issuer is ready on ${url}`)
