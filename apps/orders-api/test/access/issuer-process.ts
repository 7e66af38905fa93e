// The issuer as a process of its own, for tests that may not import it: ends with its parent, which holds its stdin.

import { startIssuer } from './issuer.ts'

const [pages = ''] = process.argv.slice(2)
const { url } = await startIssuer({ teardown: () => {} }, { pages, audience: 'urn:orders' })
process.stdin.resume().on('end', () => process.exit())
console.log(`The issuer is ready on ${url}`)
