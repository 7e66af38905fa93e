import { cpSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const repository = join(import.meta.dirname, '../../../..')
const transient = /(^|\/)(node_modules|coverage|\.tap|\.nx|\.data)$/

/** Copies the sources of service and worker into a folder of their own that runs the modules installed here. Returns its path. */
export function makeCheckout(): string {
  const checkout = realpathSync(mkdtempSync(join(tmpdir(), 'orders-serve-')))
  for (const path of ['package.json', 'nx.json', 'apps/orders-api', 'apps/orders-worker', 'packages']) {
    const filter = (source: string) => !transient.test(source)
    cpSync(join(repository, path), join(checkout, path), { recursive: true, filter })
  }
  const modules = join(checkout, 'node_modules')
  mkdirSync(join(modules, '@orders'), { recursive: true })
  for (const name of readdirSync(join(repository, 'node_modules'))) {
    if (name !== '@orders' && name !== '.cache')
      symlinkSync(join(repository, 'node_modules', name), join(modules, name))
  }
  for (const name of readdirSync(join(checkout, 'packages'))) {
    symlinkSync(join(checkout, 'packages', name), join(modules, '@orders', name))
  }
  return checkout
}

export function removeCheckout(checkout: string): void {
  rmSync(checkout, { recursive: true, force: true, maxRetries: 5 })
}
