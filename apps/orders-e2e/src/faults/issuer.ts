import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'

const program = join(import.meta.dirname, '../../../orders-api/test/access/issuer-process.ts')

/** A port that was free a moment ago: an issuer must know the address of the pages before they are there. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

type Options = {
  /** Of the pages where users of the issuer may sign in. */
  origin?: string
  /** Private keys that it publishes besides its own. */
  keys?: object[]
}

/** Starts a real OpenID issuer of tokens for `urn:orders`; ends with the test. */
export async function startIssuer(
  t: { teardown(fn: () => void): void },
  { origin = '', keys = [] }: Options,
): Promise<{ url: string }> {
  const child = spawn(process.execPath, [program, origin, JSON.stringify(keys)], { stdio: ['pipe', 'pipe', 'pipe'] })
  t.teardown(() => void child.kill())
  const said = { stdout: '', stderr: '' }
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.stderr += text
  })
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.stdout += text
    const [, url] = /^The issuer is ready on (\S+)$/m.exec(said.stdout) ?? []
    if (url) resolve(url)
  })
  child.on('exit', (code) => reject(new Error(`the issuer ended with ${code}: ${said.stderr}`)))
  return { url: await promise }
}
