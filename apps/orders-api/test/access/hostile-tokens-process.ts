// Prints the tokens for tests that may not import them: reads a Genuine from stdin, and writes their names and texts as JSON.

import { json } from 'node:stream/consumers'
import { type Genuine, hostileTokens } from './hostile-tokens.ts'

process.stdout.write(JSON.stringify(hostileTokens((await json(process.stdin)) as Genuine)))
