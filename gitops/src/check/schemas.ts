import { execFile } from 'node:child_process'
import { kubernetesVersion, schemaLocation, schemasFolder } from '../tools/schemas.ts'
import { toolPath } from '../tools.ts'

type Outcome = {
  resources?: { kind: string; name: string; status: string; msg: string }[]
  summary?: { valid: number }
}

/**
 * Lets kubeconform judge YAML by the schemas of the servers: strictly, and with no kind left out. Answers a sentence for
 * each resource that a server would not take, and how many it would.
 */
export async function invalidResources(yaml: string): Promise<{ faults: string[]; valid: number }> {
  const program = await toolPath('kubeconform')
  const folder = await schemasFolder()
  const args = ['-strict', '-summary', '-output', 'json', '-n', '2']
  args.push('-kubernetes-version', kubernetesVersion, '-schema-location', schemaLocation(folder))
  const { resources = [], summary } = JSON.parse(await pipe(program, args, yaml)) as Outcome
  const faults = resources
    .filter(({ status }) => status !== 'statusValid')
    .map(({ kind, name, msg, status }) => `${kind}/${name} is not valid: ${msg || status}`)
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
