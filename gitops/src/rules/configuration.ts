import { type Container, type Document, nameOf, ofKind } from './documents.ts'
import { containersOf, type Pods, podsOf } from './pods.ts'
import { configMapsOf, secretMakers, secretsOf } from './references.ts'
import type { Facts, Rule } from './rule.ts'

type Found = [string, string][]

const server = 'apps/orders-api/src/server.ts'
const worker = 'apps/orders-worker/src/worker.ts'

/** Pods that run a program of this repository, with the container that does. */
const programs = (set: Document[]): [Pods, Container][] =>
  podsOf(set).flatMap((pods) =>
    containersOf(pods).flatMap((container): [Pods, Container][] =>
      container.command?.[0] === 'node' && container.args?.[0] ? [[pods, container]] : [],
    ),
  )

const running = (set: Document[], ...names: string[]) =>
  programs(set).filter(([, { args }]) => names.some((name) => args?.includes(name)))
const servers = (set: Document[]) => running(set, server)
const processes = (set: Document[]) => running(set, server, worker)

const mapsOf = (set: Document[], { envFrom = [] }: Container) =>
  ofKind(set, 'ConfigMap').filter(({ metadata }) =>
    envFrom.some(({ configMapRef }) => configMapRef?.name === metadata.name),
  )

/** Every string in a value, with the path to it. */
export function* stringsOf(value: unknown, path = ''): Generator<[path: string, text: string]> {
  if (typeof value === 'string') yield [path, value]
  else if (typeof value === 'object' && value !== null) {
    for (const [key, part] of Object.entries(value)) yield* stringsOf(part, path === '' ? key : `${path}.${key}`)
  }
}

const noStringThat =
  (matches: (text: string) => boolean, says: string): Rule =>
  (set) =>
    set.flatMap((document) =>
      [...stringsOf(document)]
        .filter(([, text]) => matches(text))
        .map(([path]): Found[number] => [`${nameOf(document)} ${path}`, says]),
    )

const generatorsOf = (spec: Document['spec']) =>
  (spec?.dataFrom ?? []).flatMap(({ sourceRef }) => sourceRef?.generatorRef ?? [])
const made = (set: Document[], { kind, name }: { kind: string; name: string }) =>
  ofKind(set, kind).some(({ metadata }) => metadata.name === name)

// Jobs read no more than the service does.
const settingsOf = ({ settings }: Facts, { args }: Container) => settings[args?.[0] ?? ''] ?? settings[server] ?? []
const isKnown = (facts: Facts, container: Container, name: string) =>
  settingsOf(facts, container).some((setting) => setting.name === name)

export const configurationRules: Record<string, Rule> = {
  // The SQL of a Cluster becomes arguments of a container.
  'dollars-stay': (set) =>
    ofKind(set, 'Cluster', 'Deployment', 'Job', 'Rollout').flatMap((document) =>
      [...stringsOf(document.spec)]
        .filter(([path, text]) => /(SQL|args|command|env)\b/.test(path) && text.includes('$$'))
        .map(([path]): Found[number] => [
          `${nameOf(document)} ${path}`,
          'has $$, of which Kubernetes leaves one dollar sign: write $name$ in SQL',
        ]),
    ),
  'setting-is-known': (set, facts) =>
    processes(set).flatMap(([, container]) =>
      mapsOf(set, container).flatMap((map) =>
        Object.keys(map.data ?? {})
          .filter((key) => !isKnown(facts, container, key))
          .map((key): Found[number] => [`${nameOf(map)} ${key}`, `is no setting of ${container.name}`]),
      ),
    ),
  'variable-is-known': (set, facts) =>
    programs(set).flatMap(([{ owner }, container]) =>
      (container.env ?? [])
        .filter(({ name }) => !name.startsWith('NODE_') && !isKnown(facts, container, name))
        .map(({ name }): Found[number] => [`${nameOf(owner)} ${name}`, `is no setting of ${container.name}`]),
    ),
  'required-settings-are-given': (set, facts) =>
    processes(set).flatMap(([{ owner }, container]) => {
      const given = new Set([
        ...mapsOf(set, container).flatMap(({ data }) => Object.keys(data ?? {})),
        ...(container.env ?? []).map(({ name }) => name),
      ])
      return settingsOf(facts, container)
        .filter(({ name, required }) => required && !given.has(name) && !given.has(`${name}_FILE`))
        .map(({ name }): Found[number] => [nameOf(owner), `does not give ${name}, without which it does not start`])
    }),
  'tokens-are-required': (set) =>
    servers(set).flatMap(([{ owner }, container]): Found => {
      const own = (container.env ?? []).map(({ name, value }) => ({ [name]: value }))
      const given = Object.assign({}, ...mapsOf(set, container).map(({ data }) => data), ...own)
      const says = 'takes who brings no token for a member of the organisation default: set AUTH_MODE to required'
      return given.AUTH_MODE === 'required' ? [] : [[nameOf(owner), says]]
    }),
  'ports-are-the-settings': (set, facts) =>
    processes(set).flatMap(([{ owner }, container]) =>
      mapsOf(set, container).flatMap(({ data = {} }) =>
        Object.entries({ http: 'PORT', admin: 'ADMIN_PORT' })
          .filter(([, setting]) => isKnown(facts, container, setting))
          .map(([name, setting]) => [name, data[setting]] as const)
          .filter(([name, port]) => container.ports?.find((p) => p.name === name)?.containerPort !== Number(port))
          .map(([name, port]): Found[number] => [
            nameOf(owner),
            `names another port ${name} than its settings do: ${port}`,
          ]),
      ),
    ),
  'program-exists': (set, { exists }) =>
    programs(set)
      .filter(([, { args }]) => !exists(args?.[0] as string))
      .map(([{ owner }, { args }]) => [nameOf(owner), `runs ${args?.[0]}, which is not in this repository`]),
  'configuration-exists': (set) =>
    podsOf(set).flatMap((pods) => {
      const maps = ofKind(set, 'ConfigMap').map(({ metadata }) => metadata.name)
      return configMapsOf(pods)
        .filter((name) => !maps.includes(name))
        .map((name): Found[number] => [nameOf(pods.owner), `reads ConfigMap/${name}, which is not in this set`])
    }),
  'secret-is-made': (set) =>
    podsOf(set).flatMap((pods) => {
      const makers = secretMakers(set)
      return secretsOf(pods)
        .filter((name) => !makers.has(name))
        .map((name): Found[number] => [nameOf(pods.owner), `reads Secret/${name}, which nothing in this set makes`])
    }),
  'secret-store-exists': (set) =>
    ofKind(set, 'ExternalSecret')
      .filter(({ spec }) => spec?.secretStoreRef?.kind !== 'ClusterSecretStore')
      .filter(
        ({ spec }) =>
          !generatorsOf(spec).every((generator) => made(set, generator)) ||
          (generatorsOf(spec).length === 0 &&
            !made(set, { kind: 'SecretStore', name: spec?.secretStoreRef?.name ?? '' })),
      )
      .map((document) => [nameOf(document), 'asks a SecretStore, or a generator, that is not in this set']),
  'no-secret-in-git': (set) =>
    ofKind(set, 'Secret')
      .filter(({ data, stringData }) => Object.keys({ ...data, ...stringData }).length > 0)
      .map((secret) => [
        nameOf(secret),
        'holds data: keep it in the secret store, and make the Secret by an ExternalSecret',
      ]),
  'no-password-in-git': noStringThat(
    (text) => /:\/\/[^/\s:@]+:[^@\s/]+@/.test(text) || /-----BEGIN [A-Z ]*PRIVATE KEY/.test(text),
    'holds a password or a key: keep it in the secret store',
  ),
  'secrets-are-files': (set) =>
    podsOf(set).flatMap((pods) =>
      containersOf(pods)
        .filter(
          ({ env = [], envFrom = [] }) =>
            env.some(({ valueFrom }) => valueFrom?.secretKeyRef) || envFrom.some(({ secretRef }) => secretRef),
        )
        .map(({ name }): Found[number] => [
          `${nameOf(pods.owner)} ${name}`,
          'has a secret in its environment: mount it, and give NAME_FILE',
        ]),
    ),
  'secret-file-is-mounted': (set) =>
    programs(set).flatMap(([{ owner }, { env = [], volumeMounts = [] }]) =>
      env
        .filter(
          ({ name, value = '' }) =>
            name.endsWith('_FILE') && !volumeMounts.some(({ mountPath }) => value.startsWith(`${mountPath}/`)),
        )
        .map(({ name }): Found[number] => [`${nameOf(owner)} ${name}`, 'names a file that no volume brings']),
    ),
  'database-is-verified': noStringThat(
    (text) => /^postgres(ql)?:\/\//.test(text) && !/[?&]sslmode=verify-full(&|$)/.test(text),
    'reaches the database without checking who answers: add sslmode=verify-full',
  ),
  'redis-is-encrypted': noStringThat(
    (text) => text.startsWith('redis://'),
    'reaches Redis without TLS: write rediss://',
  ),
  'no-placeholder': noStringThat(
    (text) => /\bfact\b|-environment-|\b(TODO|FIXME|CHANGE-?ME|REPLACE-?ME|PLACEHOLDER)\b|<[a-z][a-z-]*>/.test(text),
    'is a placeholder that nothing replaced: let a facts Component fill it',
  ),
  'no-local-facts': (set) =>
    set
      .filter(({ metadata }) => metadata.annotations?.['config.kubernetes.io/local-config'] !== undefined)
      .map((document) => [nameOf(document), 'is for rendering alone and would reach the cluster']),
}
