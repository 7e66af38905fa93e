import { run } from '../../src/release/command.ts'

// One of several processes that write at the same time: runs every command it is given (one JSON list a line of standard
// input) in a clone, one after the other, and prints how each ended.
const [clone = '.'] = process.argv.slice(2)
const chunks: Buffer[] = []
for await (const chunk of process.stdin) chunks.push(chunk)

for (const line of Buffer.concat(chunks).toString().trim().split('\n')) {
  const args = JSON.parse(line) as string[]
  const outcome = await run(args, clone).then(
    (said) => ({ args, done: true, said }),
    (error: Error) => ({ args, done: false, said: error.message }),
  )
  console.log(JSON.stringify(outcome))
}
