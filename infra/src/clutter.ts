const folders = /^(?:tests?|__tests__|bench(?:marks?)?|examples?|docs?|e2e|coverage|\.github|\.vscode)$/
const files =
  /\.(?:test|spec|bench)\.[cm]?[jt]sx?$|\.d\.[cm]?ts$|\.(?:js|cjs|mjs|ts|css)\.map$|\.md$|\.a$|^\.[a-z]|^eslint\.config\./

/**
 * Is a path below node_modules something that no process reads: tests, type declarations, documents. Folders count at
 * the top of a package only, where their name says what they are for; licences stay.
 */
export function isClutter(path: string): boolean {
  const inside = path.split('node_modules/').at(-1)?.split('/') ?? []
  const [top, ...below] = inside.slice(inside[0]?.startsWith('@') ? 2 : 1)
  const name = below.at(-1) ?? top
  if (top === undefined || name === undefined || /^(?:licen[cs]e|notice|copying)/i.test(name)) return false
  return folders.test(top) || files.test(name)
}
