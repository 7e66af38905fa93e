import type { Programs } from './control-plane.ts'
import { modulePins } from './pins.ts'
import { program } from './programs.ts'

/** Programs of Debian packages. */
const debian: Record<string, string> = { containerd: '/usr/bin/containerd' }

/** Answers the path of a program by its name. Throws an Error for one that is not built. */
export async function readPrograms(): Promise<Programs> {
  const names = modulePins.flatMap(({ packages }) => Object.keys(packages))
  const paths = new Map<string, string>(Object.entries(debian))
  for (const name of names) paths.set(name, await program(name))
  return (name) => {
    const path = paths.get(name)
    if (path === undefined) throw new Error(`cluster.json has no program ${name}.`)
    return path
  }
}
