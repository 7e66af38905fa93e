import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'

const reference = /\b(?<name>[a-z0-9.-]+\.[a-z]+\/[a-z0-9._/-]+:[\w.-]+)@sha256:[0-9a-f]{64}/g
const files = (root: string) =>
  globSync('gitops/{apps,platform}/**/*.yaml', { cwd: root }).map((file) => join(root, file))

/** The images that no manifest of this repository names: those of a chart's manifests, and Envoy's. */
const argocdRedis = 'public.ecr.aws/docker/library/redis:8.2.3-alpine'
const envoy = 'docker.io/envoyproxy/envoy:distroless-v1.39.1'

/** The images of a checkout that are not programs of Go modules, by name and tag. */
export const serverImages = (root: string) => [argocdRedis, envoy, ...pinnedImages(root)]

/** The images that manifests of a checkout pin by tag and digest, by name and tag. */
function pinnedImages(root: string): string[] {
  const names = files(root).flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(reference)].map((match) => match.groups?.name ?? ''),
  )
  return [...new Set(names)].sort()
}

/** Names the image of Envoy, which Envoy Gateway pins by the digest of its publisher where no manifest names one. */
export function nameEnvoy(root: string): void {
  const file = join(root, 'gitops/platform/gateway/components/envoy/proxy.yaml')
  const manifest = parse(readFileSync(file, 'utf8'))
  manifest.spec.provider.kubernetes.envoyDeployment.container.image = envoy
  writeFileSync(file, stringify(manifest))
}

/** Pins those of them by the digests that a registry has instead. */
export function repinImages(root: string, digests: Map<string, string>): void {
  for (const file of files(root)) {
    const text = readFileSync(file, 'utf8')
    const repinned = text.replaceAll(reference, (found, name: string) =>
      digests.has(name) ? `${name}@${digests.get(name)}` : found,
    )
    if (repinned !== text) writeFileSync(file, repinned)
  }
}
