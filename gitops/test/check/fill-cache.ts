import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fillOnce } from '../../src/tools/cache.ts'

let filled = 0
const fill = async (folder: string) => {
  filled += 1
  await writeFile(join(folder, 'file'), 'whole')
}
const folders = [
  ...(await Promise.all([fillOnce('whole', fill), fillOnce('whole', fill)])),
  await fillOnce('whole', fill),
]
console.log(`filled ${filled} time(s), one folder: ${new Set(folders).size === 1}`)
await fillOnce('broken', async (folder) => {
  await writeFile(join(folder, 'file'), 'half')
  throw new Error('broken on purpose')
}).catch((error: Error) => console.log(`failed: ${error.message}`))
