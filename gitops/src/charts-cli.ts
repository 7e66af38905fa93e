import { pinsOf, readSnapshot, writeSnapshot } from './charts/snapshot.ts'
import { changes, takeSnapshot } from './charts/update.ts'
import { renderAll } from './render.ts'
import { readDocuments } from './rules/documents.ts'

// Writes charts.json anew from the repositories of the charts. Needs the network.
try {
  const rendered = await renderAll()
  const sets = new Map(rendered.map(({ path, yaml }) => [path, readDocuments(yaml)]))
  const before = readSnapshot()
  const after = await takeSnapshot(pinsOf(sets), new Date().toISOString().slice(0, 10))
  writeSnapshot(after)
  for (const line of changes(before, after)) console.log(line)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
