import { execFileSync } from 'node:child_process'
import { request } from 'node:https'
import { type Fork, repositoryUrl } from './fork.ts'
import type { Kubernetes } from './kubernetes.ts'

/**
 * Sends Argo CD what GitHub sends after a push, about the last commit of the fork. Throws an Error when Argo CD does not
 * accept it.
 */
export async function notify(kubernetes: Kubernetes, fork: Fork): Promise<void> {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: fork.clone, encoding: 'utf8' }).trim()
  const files = git('diff', '--name-only', 'HEAD~1', 'HEAD').split('\n')
  const body = JSON.stringify({
    ref: 'refs/heads/main',
    before: git('rev-parse', 'HEAD~1'),
    after: git('rev-parse', 'HEAD'),
    repository: { html_url: repositoryUrl, default_branch: 'main' },
    commits: [{ added: [], removed: [], modified: files }],
  })
  const service = await kubernetes.read('/api/v1/namespaces/argocd/services/argocd-server')
  const status = await post(String(service?.spec?.clusterIP), body)
  if (status !== 200) throw new Error(`Argo CD answered its webhook with ${status}.`)
}

function post(host: string, body: string): Promise<number> {
  const headers = { 'content-type': 'application/json', 'x-github-event': 'push', 'content-length': body.length }
  return new Promise((resolve, reject) => {
    // Argo CD's certificate is its own; nothing secret is sent.
    const options = { host, path: '/api/webhook', method: 'POST', headers, rejectUnauthorized: false }
    const sending = request(options, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    sending.on('error', reject)
    sending.end(body)
  })
}
