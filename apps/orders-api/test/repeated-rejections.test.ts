import t from 'tap'
import { createRejectionLog } from '../src/access/repeated-rejections.ts'

t.test('keeps a bounded number of clients, and counts the others together', async (t) => {
  const lines: Record<string, unknown>[] = []
  const log = createRejectionLog({ now: () => 0, write: (_event, fields) => lines.push(fields) })
  const reject = (by: string) =>
    log.add({
      event: 'request.refused',
      by,
      code: 'UNAUTHENTICATED',
      fields: { user: null, address: by, code: 'UNAUTHENTICATED' },
    })

  for (let i = 0; i < 12_000; i++) reject(`address-${i}`)
  reject('address-0')
  log.flush({ all: true })

  t.equal(lines.length, 10_001 + 2, 'a line for each of 10,000 clients, and for the first of the others')
  t.match(lines.slice(-2), [
    { address: 'address-0', repeated: 1 },
    { user: null, address: null, repeated: 1999 },
  ])
})
