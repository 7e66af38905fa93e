import { execFile } from 'node:child_process'
import { schemaLocations, schemasFolder } from '../tools/schemas.ts'
import { toolPath } from '../tools.ts'

type Outcome = {
  resources?: { kind: string; name: string; status: string; msg: string }[]
  summary?: { valid: number }
}

/**
 * Validates YAML with kubeconform against the schemas of a Kubernetes version and of the add-ons: strictly, and with no
 * kind left out. Returns a sentence for each resource that a server would reject, and the number that it would accept.
 */
export async function invalidResources(yaml: string, version: string): Promise<{ faults: string[]; valid: number }> {
  const program = await toolPath('kubeconform')
  const folder = await schemasFolder()
  const args = ['-strict', '-summary', '-output', 'json', '-n', '2']
  for (const location of schemaLocations(folder, version)) args.push('-schema-location', location)
  const { resources = [], summary } = JSON.parse(await pipe(program, args, yaml)) as Outcome
  const faults = resources
    .filter(({ status }) => status !== 'statusValid')
    .map(({ kind, name, msg, status }) => `${kind}/${name} is not valid in ${version}: ${msg || status}`)
  return { faults, valid: summary?.valid ?? 0 }
}

/** What a program makes of a text, even when it finds faults in it. Throws an Error with what it says if it says nothing. */
export function pipe(program: string, args: string[], text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (stdout.trim() !== '') resolve(stdout)
      else reject(new Error(stderr.trim() || error?.message || `${program} says nothing`))
    })
    // It may refuse its arguments and go before it has read all; its exit tells why.
    child.stdin?.on('error', () => {})
    child.stdin?.end(text)
  })
}
