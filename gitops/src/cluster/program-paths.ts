import type { Programs } from './control-plane.ts'
import { program } from './programs.ts'

/** Programs of Debian packages. */
const debian: Record<string, string> = { containerd: '/usr/bin/containerd' }

/** Returns the path of one of these programs by its name. Throws an Error for one that is not built. */
export async function readPrograms(names: string[]): Promise<Programs> {
  const paths = new Map<string, string>(Object.entries(debian))
  for (const name of names) paths.set(name, await program(name))
  return (name) => {
    const path = paths.get(name)
    if (path === undefined) throw new Error(`This run has no program ${name}.`)
    return path
  }
}
