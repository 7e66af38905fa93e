import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { checkCode } from '../src/structure/code-rules.ts'
import { checkImports } from '../src/structure/import-rules.ts'
import { readSource } from '../src/structure/source.ts'
import { readWorkspace } from '../src/structure/workspace.ts'

const root = join(import.meta.dirname, '../../..')

function check(folder: string) {
  const workspace = readWorkspace(folder)
  return [...checkImports(workspace), ...checkCode(workspace)].map((it) => `${it.rule} ${it.where} ${it.message}`)
}

/** A copy of this workspace with no sources but the given files, and one a project that uses what it depends on. */
function planted(t: Test, files: Record<string, string>) {
  const folder = t.testdir({})
  for (const { folder: project, dependencies } of readWorkspace(root).projects) {
    cpSync(join(root, project, 'package.json'), join(folder, project, 'package.json'))
    mkdirSync(join(folder, project, 'src'))
    const uses = dependencies.map((name) => `import type {} from '${name}'`)
    writeFileSync(join(folder, project, 'src/uses.ts'), uses.join('\n'))
  }
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return check(folder)
}

type PackageJson = { nx: { tags?: string[] }; dependencies?: object; devDependencies?: object }

function edited(file: string, edit: (about: PackageJson) => void) {
  const about = JSON.parse(readFileSync(join(root, file), 'utf8'))
  edit(about)
  return { [file]: JSON.stringify(about) }
}

t.test('the workspace keeps its rules', async (t) => {
  const { projects } = readWorkspace(root)
  t.ok(projects.length >= 6, 'all projects were read')
  t.strictSame(check(root), [])
})

t.test('what is allowed passes', async (t) => {
  const found = planted(t, {
    'apps/orders-api/src/app.ts': `import { a } from '@orders/orders'\nimport type { Pool } from 'pg'\nimport fs from 'node:fs'`,
    'apps/orders-api/src/config.ts': 'export const port = process.env.PORT',
    'apps/orders-api/src/plugins/database.ts': `import postgres from '@fastify/postgres'\nexport const query = app.pg.pool.query`,
    'apps/orders-api/src/ui/views/page.eta': `<%= it.name %> <%~ include('./head', it) %> <%~ it.body %>`,
    'packages/orders/src/a.ts': `import { b } from './b.ts'\nexport * from '@orders/database'`,
    'apps/orders-e2e/test/a.test.ts': `import { createCluster } from '@orders/database/testing'`,
    'packages/orders/test/a.test.ts': `import t from 'tap'\nimport { a } from '../src/a.ts'\nimport d from '@orders/database/testing'`,
  })
  t.strictSame(found, [])
})

const api = 'apps/orders-api/src/a.ts'
const orders = 'packages/orders/src/a.ts'
const violations: Record<string, [files: Record<string, string>, expected: RegExp]> = {
  'an import against the direction': [
    { 'packages/schema/src/a.ts': `import { a } from '@orders/orders'` },
    /^direction packages\/schema\/src\/a\.ts:1 /,
  ],
  'a type imported against the direction': [
    { [orders]: `import type { A } from '@orders/runtime'` },
    /^direction packages\/orders\/src\/a\.ts:1 /,
  ],
  'an export from against the direction': [
    { 'packages/database/test/a.test.ts': `\nexport {\n  a,\n} from '@orders/schema'` },
    /^direction packages\/database\/test\/a\.test\.ts:4 /,
  ],
  'a dynamic import against the direction': [
    { 'packages/runtime/src/a.ts': `const a = \`\${await import('@orders/schema')}\`` },
    /^direction packages\/runtime\/src\/a\.ts:1 /,
  ],
  'an app that imports an app': [
    { 'apps/orders-e2e/src/a.ts': `import '@orders/orders-api'` },
    /^direction apps\/orders-e2e\/src\/a\.ts:1 /,
  ],
  'more than the fixtures in a test of the whole': [
    { 'apps/orders-e2e/test/a.test.ts': `import { migrateToLatest } from '@orders/database'` },
    /^direction apps\/orders-e2e\/test\/a\.test\.ts:1 /,
  ],
  'fixtures in a source of the whole': [
    { 'apps/orders-e2e/src/a.ts': `import { createCluster } from '@orders/database/testing'` },
    /^direction apps\/orders-e2e\/src\/a\.ts:1 /,
  ],
  'a dependency against the direction': [
    edited('packages/schema/package.json', (about) => {
      about.devDependencies = { '@orders/orders': '0.1.0' }
    }),
    /^direction packages\/schema\/package\.json /,
  ],
  'a project without a role': [
    edited('packages/schema/package.json', (about) => {
      about.nx.tags = []
    }),
    /^role packages\/schema\/package\.json /,
  ],
  'a project with an invented role': [
    edited('packages/runtime/package.json', (about) => {
      about.nx.tags = ['role:anything']
    }),
    /^role packages\/runtime\/package\.json /,
  ],
  'a relative import into another project': [
    { [orders]: `import { a } from '../../schema/src/index.ts'` },
    /^boundary packages\/orders\/src\/a\.ts:1 /,
  ],
  'an import past the exports': [
    { [orders]: `import { a } from '@orders/database/src/tables.ts'` },
    /^exports packages\/orders\/src\/a\.ts:1 /,
  ],
  'a package that is not declared': [
    { [orders]: `import a from 'left-pad'` },
    /^undeclared packages\/orders\/src\/a\.ts:1 /,
  ],
  'a development package in a source': [
    { [api]: `import a from 'fast-check'` },
    /^undeclared apps\/orders-api\/src\/a\.ts:1 /,
  ],
  'a dependency that no source uses': [
    {
      ...edited('packages/schema/package.json', (about) => {
        about.dependencies = { ...about.dependencies, 'left-pad': '1.3.0' }
      }),
      'packages/schema/test/a.test.ts': `import a from 'left-pad'`,
    },
    /^unused packages\/schema\/package\.json left-pad /,
  ],
  'the fixtures of another project in a source': [
    { [api]: `import { a } from '@orders/database/testing'` },
    /^testing apps\/orders-api\/src\/a\.ts:1 /,
  ],
  'its own fixtures in a source': [
    { 'packages/database/src/a.ts': `import { a } from '../testing/index.ts'` },
    /^testing packages\/database\/src\/a\.ts:1 /,
  ],
  'a migration that imports the application': [
    { 'packages/database/migrations/a.ts': `import { a } from '../src/tables.ts'` },
    /^migration packages\/database\/migrations\/a\.ts:1 /,
  ],
  'a package that reads the environment': [
    { [orders]: '\nconst a = process.env.PORT' },
    /^environment packages\/orders\/src\/a\.ts:2 /,
  ],
  'an app that reads the environment outside its config.ts': [
    { [api]: 'const { env } = process' },
    /^environment apps\/orders-api\/src\/a\.ts:1 /,
  ],
  'the environment by its module': [
    { [api]: `import { env } from 'node:process'` },
    /^environment apps\/orders-api\/src\/a\.ts:1 /,
  ],
  'a query on the pool': [{ [api]: `await pool.query('select 1')` }, /^pool apps\/orders-api\/src\/a\.ts:1 /],
  'the decorator of the pool': [{ [api]: '\nconst db = app.pg' }, /^pool apps\/orders-api\/src\/a\.ts:2 /],
  'a pool of its own': [
    { 'apps/orders-api/src/api/a.ts': `import pg from 'pg'` },
    /^pool apps\/orders-api\/src\/api\/a\.ts:1 /,
  ],
  'a raw value in a view': [
    { 'apps/orders-api/src/ui/views/a.eta': '<p>\n<%~ it.order.description %>' },
    /^raw-view apps\/orders-api\/src\/ui\/views\/a\.eta:2 /,
  ],
}

for (const [name, [files, expected]] of Object.entries(violations)) {
  t.test(`refuses ${name}`, async (t) => {
    const found = planted(t, files)
    t.equal(found.length, 1, found.join('\n'))
    t.match(found[0], expected)
  })
}

t.test('reads imports and nothing that only looks like one', async (t) => {
  const text = [
    `// import a from 'comment'`,
    `const b = "import b from 'string'"`,
    `const c = \`import c from "template" \${await import('inside')} import d from "after"\``,
    `const e = /import e from 'pattern'/.test(b) // it's`,
    `import f, { type G } from 'plain'`,
    `import type { H } from 'types'`,
    `/* import i from 'block' */ export * as i from 'star'`,
    `import 'effect'`,
    `const half = size / 2, j = require('required') / 3`,
  ].join('\n')
  const found = readSource(text).imports.map(({ specifier, line, typeOnly }) => [specifier, line, typeOnly])
  t.strictSame(found, [
    ['inside', 3, false],
    ['plain', 5, false],
    ['types', 6, true],
    ['star', 7, false],
    ['effect', 8, false],
    ['required', 9, false],
  ])
})
