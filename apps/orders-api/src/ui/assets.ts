import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { may } from '../access/rules.ts'

const folder = join(import.meta.dirname, 'assets')
const year = 31_536_000 // seconds

// Later sheets refine earlier ones.
const sheets = [
  'tokens',
  'base',
  'layout',
  'session',
  'chips',
  'forms',
  'buttons',
  'tables',
  'totals',
  'order',
  'webhooks',
  'media',
]
const files = [
  { name: 'site.css', type: 'text/css; charset=utf-8', parts: sheets.map((sheet) => `site/${sheet}.css`) },
  { name: 'live.js', type: 'text/javascript; charset=utf-8', parts: ['live.js'] },
  { name: 'icon.svg', type: 'image/svg+xml', parts: ['icon.svg'] },
]

export type Asset = { name: string; url: string; type: string; hash: string; bytes: Buffer }

/** The files that pages refer to, each under an address that changes with its content. */
export function readAssets(): Asset[] {
  return files.map(({ name, type, parts }) => {
    const bytes = Buffer.concat(parts.map((part) => readFileSync(join(folder, part))))
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
    return { name, url: `/assets/${name}?v=${hash}`, type, hash, bytes }
  })
}

/** During a rollout a page of one release may ask the other for its assets: it gets them, but not to keep. */
export async function assetRoutes(app: FastifyInstance, { assets }: { assets: Asset[] }) {
  for (const { name, type, hash, bytes } of assets) {
    app.get<{ Querystring: { v?: string } }>(
      `/assets/${name}`,
      { schema: { ...may.anyone, hide: true }, config: { rateLimit: false } },
      (request, reply) => {
        const control = request.query.v === hash ? `public, max-age=${year}, immutable` : 'no-cache'
        return reply.headers({ 'cache-control': control, 'content-type': type }).send(bytes)
      },
    )
  }
}
