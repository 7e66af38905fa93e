import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { factsPath } from '../src/release/environments.ts'
import { at, createRepository, digest, git, refuses } from './release/repository.ts'

/** A registry that has the images with these numbers, for whoever shows a token; its address. */
async function serveRegistry(t: { teardown(fn: () => void): void }, numbers: number[]): Promise<string> {
  const server = createServer(({ url = '', headers, method }, response) => {
    if (url.startsWith('/token?')) return void response.end(JSON.stringify({ access_token: 'given' }))
    if (headers.authorization !== 'Bearer given') {
      const realm = `http://${headers.host}/token`
      response.setHeader('www-authenticate', `Bearer realm="${realm}",scope="repository:orders/orders-api:pull"`)
      return void response.writeHead(401).end()
    }
    const known = numbers.some((number) => url === `/v2/orders/orders-api/manifests/${digest(number)}`)
    return void response.writeHead(known && method === 'HEAD' ? 200 : 404).end()
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}/orders`
}

t.test('a release whose image is not in the registry is refused before it is written', async (t) => {
  const repository = createRepository(t)
  const { sources, origin } = repository
  const registry = await serveRegistry(t, [1, 2])
  const facts = git(origin, ['show', `main:${factsPath}`])
  repository.write(factsPath, `${facts.replace(/^( {2}registry: ).*$/m, `$1${registry}`)}\n`)
  const bump = (number: number) => {
    const image = `${registry}/orders-api@${digest(number)}`
    return ['bump', '--env', 'dev', '--image', image, '--commit', at(sources, number)]
  }
  await repository.run(...bump(1))
  await refuses(t, repository, bump(3), /orders-api@sha256:d+3 is not in its registry/)
  t.match(await repository.run(...bump(2)), /^dev asks for/)
  t.match(await repository.run('rollback', '--env', 'dev'), /is quarantined\.$/)
})

t.test('a rollback to the same image says so', async (t) => {
  const repository = createRepository(t)
  const { sources } = repository
  await repository.bump('dev', at(sources, 1), 1)
  await repository.bump('dev', at(sources, 2), 1)
  const says = new RegExp(`runs the same image as ${at(sources, 2).slice(0, 10)}`)
  await refuses(t, repository, ['rollback', '--env', 'dev'], says)
  await refuses(t, repository, ['rollback', '--env', 'dev', '--to', at(sources, 1)], says)
  await repository.bump('dev', at(sources, 3), 3)
  await repository.run('rollback', '--env', 'dev')
  t.equal(repository.release('dev').commit, at(sources, 2), 'another image, however often it was released')
})
