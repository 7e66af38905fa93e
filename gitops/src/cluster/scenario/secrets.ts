import { request } from 'node:https'
import { until } from '../until.ts'
import { smoke } from './first-sync.ts'
import type { Context, Step } from './step.ts'

const namespace = 'orders-local'
const secrets = `/api/v1/namespaces/${namespace}/secrets`

const dataOf = async ({ kubernetes }: Context, name: string) =>
  JSON.stringify((await kubernetes.read(`${secrets}/${name}`))?.data ?? null)

/** The status of a request, and its body as JSON. */
async function call(context: Context, path: string, method: string, token?: string) {
  const ca = await context.authority()
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return new Promise<{ status: number; body: { access_token?: string } }>((resolve, reject) => {
    const sending = request(new URL(path, context.address), { ca, method, headers, agent: false }, async (answer) => {
      const chunks: Buffer[] = []
      for await (const chunk of answer) chunks.push(chunk as Buffer)
      resolve({ status: answer.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString() || '{}') })
    })
    sending.on('error', reject)
    sending.end()
  })
}

export const rotation: Step = {
  name: 'secrets are rotated: the key of guest tokens, and the database certificate of the worker',
  run: async (context) => {
    const { kubernetes } = context
    const token = (await call(context, '/api/v1/auth/guest', 'POST')).body.access_token
    const before = await call(context, '/api/v1/me', 'GET', token)
    if (before.status !== 200) throw new Error(`A guest's own token got ${before.status} before the rotation.`)
    const [keys, certificate] = [
      await dataOf(context, 'orders-guest-keys'),
      await dataOf(context, 'orders-worker-database-tls'),
    ]

    await kubernetes.kubectl('-n', namespace, 'delete', 'secret', 'orders-guest-key', 'orders-worker-database-tls')
    await until('cert-manager has issued both again', 3, async () => {
      const again = await Promise.all(
        ['orders-guest-key', 'orders-worker-database-tls'].map((name) => dataOf(context, name)),
      )
      return again.includes('null') || again[1] === certificate ? ['not yet'] : []
    })
    await kubernetes.kubectl(
      '-n',
      namespace,
      'annotate',
      '--overwrite',
      'externalsecret',
      'orders-guest-keys',
      `force-sync=${Date.now()}`,
    )
    await until('the secret of the service has the new key', 3, async () =>
      (await dataOf(context, 'orders-guest-keys')) === keys ? ['not yet'] : [],
    )
    for (const name of ['orders-api', 'orders-worker']) {
      await kubernetes.kubectl('-n', namespace, 'rollout', 'restart', `deployment/${name}`)
      await kubernetes.kubectl('-n', namespace, 'rollout', 'status', `deployment/${name}`, '--timeout=300s')
    }
    const after = await call(context, '/api/v1/me', 'GET', token)
    if (after.status !== 401) throw new Error(`A token of the old key got ${after.status}, not 401.`)
    await smoke(context)
    return 'a token of the old key is rejected, a new guest is served, the worker connects'
  },
}
